// Finds out which values lost when a peer's record is applied. What a person would miss is a value
// or an increment that two sites wrote without knowing of each other and that no longer shows:
// either one that showed before the record, or one the record brought.
//
// Only concurrent writes lose; overwriting what one has seen is no conflict. Deciding from stamps
// alone makes the outcome the same at every site that holds both writes, in either order.
#pragma once

#include "replication/merge/view.h"

namespace outrigger::merge {

// Used in three steps: construct before the record's effects are applied, apply, `finish`.
class LossFinder {
 public:
  // `losses` may be null: then nothing is done.
  LossFinder(const DocumentState& before, const Record& record, const DocumentEffects& effects,
             std::vector<Loss>* losses);
  // Incarnations the record removed, with what it had not seen of them.
  void removed(const DocumentState& before, const Incarnation& incarnation);
  // The record's effects found no incarnation to act on.
  void discarded();
  void finish(const DocumentState& after);

 private:
  struct Contested {
    Path path;
    Register reg;
  };
  struct ContestedCounter {
    Path path;
    CounterEntry entry;
  };
  void collect(const Node& node, Path& path);
  [[nodiscard]] bool unseen(const Dot& dot) const {
    return !dot.is_zero() && !record_.deps.covers(dot) && dot != record_.dot();
  }
  void check_register(const Node& root, const Path& path, const Register& reg);
  void check_counter(const Node& root, const Path& path, const CounterEntry& entry);
  void check_new(const Node& root);
  void report(LossKind kind, const Path& path, const Register& reg, const Node* beaten_by,
              const Dot& winner);
  [[nodiscard]] bool both_births(const Dot& a, const Dot& b) const;

  const Record& record_;
  const DocumentEffects& effects_;
  std::vector<Loss>* losses_;
  bool concurrent_ = false;
  bool removed_ = false;
  std::vector<Contested> registers_;
  std::vector<ContestedCounter> counters_;
  std::vector<Dot> births_;
};

}  // namespace outrigger::merge
