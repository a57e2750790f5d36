// What apps were told, and what must therefore be true: an acknowledged write is in every site's
// documents at the end, what adds up adds up, and what nobody wrote is nowhere.
//
// Some documents are written so that the book can say what must stand in them, whatever the order:
//   kept      inserted once, never touched again: must be there
//   fields    each write sets a field of its own: must have it
//   counter   each write adds: the sum of what was acknowledged, and at most of what may have been
//   pairs     a writer raises `cause`, then `effect`: nobody sees an effect without its cause
// All others are only required to be the same everywhere.
#pragma once

#include <cstdint>
#include <map>
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
inline constexpr const char* kWild = "wild";
[[nodiscard]] const std::vector<std::string>& collections();

class WorldBook {
 public:
  using Outcome = WorldDriver::Outcome;

  void inserted(const std::string& id, Outcome outcome);
  void set_field(const std::string& id, const std::string& field, Outcome outcome);
  void added(const std::string& id, int64_t delta, Outcome outcome);
  void say(std::string violation);  // something seen on the way that must not be

  // Compares with the documents of a site when everything has come to rest.
  void check(const std::string& site, const MemoryMongod& mongod);
  // The same documents at two sites, whatever the order of their fields.
  void compare(const std::string& site, const MemoryMongod& mongod, const std::string& other,
               const MemoryMongod& others);
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  [[nodiscard]] uint64_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] uint64_t unknown() const { return unknown_; }
  [[nodiscard]] bool is_kept(const std::string& id) const { return kept_.count(id) > 0; }

 private:
  struct Sum {
    int64_t sure = 0;
    int64_t possible = 0;
  };
  void count(Outcome outcome);

  std::map<std::string, Outcome> kept_;
  std::map<std::string, std::map<std::string, Outcome>> fields_;
  std::map<std::string, Sum> counters_;
  std::vector<std::string> violations_;
  uint64_t acknowledged_ = 0;
  uint64_t unknown_ = 0;
};

}  // namespace outrigger::world
