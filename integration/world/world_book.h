// What apps were told, and what must therefore be true: an acknowledged write is in every site's
// documents at the end, what adds up adds up, and what nobody wrote is nowhere.
//
// Some documents are written so that the book can say what must stand in them, whatever the order:
//   kept      inserted once, never touched again: must be there
//   fields    each write sets a field of its own: must have it
//   counters  each write adds to `n` and says so in a field of its own: the sum of these is `n`
//   lists     each write pushes a value of its own, or pulls one: what was pushed and never pulled
//             is there, and nothing is twice
//   own       only one app writes to it, one write after the other: what comes of that
//   tallies   each write adds to `n` and to a count of its author's own; one app alone assigns
//             `n`, and is told what the counts were: `n` is that and what is counted beyond them
//   causes, effects   a writer raises the one, then the other: nobody sees an effect without
//             its cause, and at the end both are as last raised
// All others are only required to be the same everywhere.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "integration/memory_mongod/memory_mongod.h"
#include "integration/world/world_driver.h"

namespace outrigger::world {

inline constexpr const char* kKept = "kept";
inline constexpr const char* kFields = "fields";
inline constexpr const char* kCounters = "counters";
inline constexpr const char* kCauses = "causes";
inline constexpr const char* kEffects = "effects";
inline constexpr const char* kTallies = "tallies";
inline constexpr const char* kLists = "lists";
inline constexpr const char* kOwn = "own";
inline constexpr const char* kWild = "wild";

class WorldBook {
 public:
  using Outcome = WorldDriver::Outcome;

  void acknowledge() { ++acknowledged_; }
  void inserted(const std::string& id, Outcome outcome);
  void set_field(const std::string& id, const std::string& field, Outcome outcome);
  void added(const std::string& id, const std::string& marker, int64_t delta, Outcome outcome);
  void pushed(const std::string& id, const std::string& marker, Outcome outcome);
  void pulled(const std::string& id, const std::string& marker);  // or perhaps it was
  // Of a document with one writer: `n` is surely so, until it is said anew or is not known.
  void is_now(const char* collection, const std::string& id, std::optional<int64_t> n);
  // A tally's owner has assigned `n`, when the document was `before` (empty: none).
  void assigned(const std::string& id, int64_t n, const std::string& before);
  // Perhaps: nothing can be said of it any more, and another takes its place.
  void assigned_perhaps(int owner);
  [[nodiscard]] std::string tally_of(int owner) const;
  void is_not_known(const char* collection, const std::string& id);
  void say(std::string violation);  // something seen on the way that must not be

  // Compares with the documents of a site when everything has come to rest.
  void check(const std::string& site, const MemoryMongod& mongod);
  // The same documents at two sites, whatever the order of their fields.
  void compare(const std::string& site, const MemoryMongod& mongod, const std::string& other,
               const MemoryMongod& others);
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  [[nodiscard]] uint64_t acknowledged() const { return acknowledged_; }

 private:
  struct Add {
    int64_t delta = 0;
    Outcome outcome = Outcome::kUnknown;
  };
  struct Tally {
    int64_t n = 0;
    std::map<std::string, int64_t> counts;  // by field, when n was assigned
  };
  using Documents = std::map<std::string, std::string>;  // by canonical _id

  void check_kept(const std::string& site, const Documents& documents);
  void check_fields(const std::string& site, const Documents& documents);
  void check_counters(const std::string& site, const Documents& documents);
  void check_known(const std::string& site, const std::string& collection,
                   const Documents& documents);
  void check_lists(const std::string& site, const Documents& documents);
  void check_tallies(const std::string& site, const Documents& documents);
  // A field of a document that one write alone has set.
  void check_mark(const std::string& where, bool is_there, Outcome outcome);

  std::map<std::string, Outcome> kept_;
  std::map<std::string, std::map<std::string, Outcome>> fields_;
  std::map<std::string, std::map<std::string, Add>> counters_;
  std::map<std::string, std::map<std::string, Outcome>> lists_;
  std::set<std::pair<std::string, std::string>> pulled_;
  std::map<std::pair<std::string, std::string>, std::optional<int64_t>> known_;
  std::map<std::string, Tally> tallies_;
  std::map<int, int> generations_;  // by owner
  std::set<std::string> given_up_;
  std::vector<std::string> violations_;
  uint64_t acknowledged_ = 0;
};

}  // namespace outrigger::world
