// What is in an array by its history, where that is a set from which what is taken stays away: what
// was given by who had seen all removals of it, and was not taken away or replaced by who had seen
// that.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replication/record/effect.h"

namespace outrigger::merge {

struct SetHistory {
  struct Commit {
    Dot at;
    const VersionVector* deps = nullptr;
    const Effect* effect = nullptr;
    [[nodiscard]] bool sees(const Dot& dot) const { return deps != nullptr && deps->covers(dot); }
  };

  [[nodiscard]] std::set<std::string> values() const;  // as JSON
  // What should be there in place of what is held; empty: it is.
  [[nodiscard]] static std::string why_not(const std::set<std::string>& values,
                                           const std::optional<bson::Value>& held);

  std::vector<Commit> writes;        // that edit it, or give it a value, in the order of stamps
  std::vector<Commit> given;         // by these it was given a value, or what is above it
  std::optional<bson::Value> array;  // that was given last
  Commit by;                         // by this one

 private:
  struct Item {
    Commit by;  // who gave it the value it has
    ElementId id;
    bson::OwnedValue value;
  };
  [[nodiscard]] std::vector<Item> items() const;
  [[nodiscard]] bool is_away(const Item& item) const;
};

}  // namespace outrigger::merge
