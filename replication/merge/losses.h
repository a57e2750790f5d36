// Finds out which values lost when a peer's record is applied. What a person would miss is a value
// or an increment that two sites wrote without knowing of each other and that no longer shows:
// either one that showed before the record, or one the record brought.
//
// Whole documents are taken apart here, and only here: each field that lost is a line of the ledger
// (one with very many or very deep fields is one line).
//
// Only concurrent writes lose; overwriting what one has seen is no conflict. Deciding from stamps
// alone makes the outcome the same at every site that holds both writes, in either order.
#pragma once

#include <set>
#include <unordered_map>

#include "replication/merge/losses_inside.h"
#include "replication/merge/view.h"

namespace outrigger::merge {

// What an effect brings, as what is lost. Nothing: it brings no value of its own.
[[nodiscard]] std::optional<Loss> brought_by(const Effect& effect, const Dot& dot);

// What a record does to the document in question. Borrows.
struct Touched {
  const Record* record = nullptr;
  const DocumentEffects* effects = nullptr;
};
// Losses are found record by record. Of those of several records that came together this leaves out
// what a person would not miss: values that show after all, and those that were replaced by who had
// seen them, and had not seen what they lost to. `shown`: the document after them all.
void leave_out_overtaken(std::vector<Loss>& losses, const std::vector<Touched>& touched,
                         const DocumentState& after, const std::optional<std::string>& shown);

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
  // What stands at a path, and what on the way to it could keep a write of `stamp` from showing.
  struct Place {
    const Node* node = nullptr;        // with state of its own
    std::optional<bson::Value> value;  // without: what the bytes above hold there
    const Node* governor = nullptr;    // whose bytes those are; null: the floor's
    const Node* newer = nullptr;       // nearest register above that is newer
    const Node* leaf = nullptr;        // a container that shows a leaf
  };
  [[nodiscard]] Place look(const Node& root, const Path& path, const Dot& stamp);
  void collect(const Node& node, Path& path, const Dot& floor);
  void collect_fields(const Node& node, Path& path, const Dot& stamp);
  void contest(const Path& path, const bson::Value& value, const Dot& stamp);
  [[nodiscard]] static Register register_of(const Path& path, const bson::Value& value,
                                            const Dot& stamp);
  [[nodiscard]] bool unseen(const Dot& dot) const {
    return !dot.is_zero() && !record_.deps.covers(dot) && dot != record_.dot();
  }
  // Of a version as a whole: has another value of the document taken its place? Then nothing of it
  // is looked for by itself.
  [[nodiscard]] bool check_version(const Node& root, const Dot& stamp, bson::Bytes given);
  // Of values beside each other: has another one been chosen? False: there are none.
  [[nodiscard]] bool check_contest(const Place& place, const Path& path, const Register& reg);
  void check_register(const Node& root, const Path& path, const Register& reg);
  [[nodiscard]] bool is_beaten(const Place& place, const Path& path, const Register& reg);
  void check_counter(const Node& root, const Path& path, const CounterEntry& entry);
  [[nodiscard]] ElementLosses::Seen look_at_array(const Node& root, const Path& path,
                                                  const Dot& stamp);
  void check_new(const Node& root);
  void report(LossKind kind, const Path& path, const Register& reg, const Dot& winner,
              const bson::Value* winning, const ContestRule& rule = {});
  [[nodiscard]] LossKind between(const Dot& loser, const Dot& winner, LossKind otherwise) const;

  const Record& record_;
  const DocumentEffects& effects_;
  std::vector<Loss>* losses_;
  bool concurrent_ = false;
  std::set<Dot> removed_;            // stamps of what went with an incarnation
  std::optional<Register> version_;  // that governed the document before, and was not seen
  std::vector<Contested> registers_;
  std::vector<ContestedCounter> counters_;
  ElementLosses elements_;
  std::vector<Dot> births_;
  std::unordered_map<const char*, bson::FieldFinder> finders_;  // by where the bytes begin
};

}  // namespace outrigger::merge
