// Connections that mongod has not let in, in the order in which they should go.
//
// Anybody may connect, and drivers themselves keep connections that never log in, so a stranger is
// not an enemy; but strangers must not keep out those who log in. So when all places are taken a
// newcomer gets that of a stranger: of one that never said anything first, then of the one that has
// been quiet for longest. A client that is just logging in is neither.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "config/limits.h"

namespace outrigger {

// `Key` names a connection. Times are of a clock in microseconds that never goes back.
template <typename Key>
class Strangers {
 public:
  void add(Key key, uint64_t now_us) { place(key, {.has_spoken = false, .since_us = now_us}); }
  // It has sent a whole message. One that was to go and could not is a stranger again.
  void spoke(Key key, uint64_t now_us) { place(key, {.has_spoken = true, .since_us = now_us}); }
  // It was let in, or is gone.
  void remove(Key key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return;
    order_.erase({found->second, key});
    places_.erase(found);
  }

  [[nodiscard]] size_t size() const { return places_.size(); }
  // Whose place a newcomer gets.
  [[nodiscard]] std::optional<Key> first_to_go() const {
    if (order_.empty()) return std::nullopt;
    return order_.begin()->second;
  }
  // Whether the first to go goes before that of `others`.
  [[nodiscard]] bool goes_before(const Strangers& others) const {
    if (order_.empty() || others.order_.empty()) return !order_.empty();
    const Place& ours = order_.begin()->first;
    const Place& theirs = others.order_.begin()->first;
    return std::pair(ours.has_spoken, ours.since_us) <
           std::pair(theirs.has_spoken, theirs.since_us);
  }
  [[nodiscard]] std::vector<Key> all() const {
    std::vector<Key> out;
    for (const auto& [place, key] : order_) out.push_back(key);
    return out;
  }
  // Those that have said nothing for too long.
  [[nodiscard]] std::vector<Key> overdue(uint64_t now_us) const {
    std::vector<Key> out;
    for (const auto& [place, key] : order_) {
      const int64_t limit_ms =
          place.has_spoken ? limits::kStrangerIdleMs : limits::kStrangerSilentMs;
      if (now_us - place.since_us >= static_cast<uint64_t>(limit_ms) * 1000) out.push_back(key);
    }
    return out;
  }

 private:
  struct Place {
    bool has_spoken = false;
    uint64_t since_us = 0;
    uint64_t turn = 0;  // never twice
    auto operator<=>(const Place&) const = default;
  };
  void place(Key key, Place place) {
    remove(key);
    place.turn = ++turns_;
    places_.emplace(key, place);
    order_.emplace(place, key);
  }

  uint64_t turns_ = 0;
  std::map<Key, Place> places_;
  std::set<std::pair<Place, Key>> order_;
};

}  // namespace outrigger
