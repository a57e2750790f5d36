// Unique indexes that this site has relaxed: documents may share a key in them, and new duplicates
// are refused (key_guard.h). What they are remains unique: the store shows them so, and nothing of
// it is told to other sites. An index that an app has prepared itself is none of these.
//
// This is what the store and the write path ask; what of it lasts is in the log (kept/kept_keys.h).
//
// mongod may be building one of them for long, beside everything else and locked by nobody. So
// whoever has it built begins here, and an app that drops indexes of the collection holds it:
// nothing begins meanwhile, what has begun can be waited for, and what is dropped by then never
// begins.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/thread_annotations.h"
#include "config/threads.h"
#include "replication/bson/bson.h"

namespace outrigger {

// Thread-safe. An index goes by its namespace and its name; `spec`: KeyIndex has it.
class RelaxedIndexes {
 public:
  void put(const std::string& ns, const std::string& spec);
  void erase(const std::string& ns, std::string_view name);
  void clear();
  void erase_all(const std::string& ns);
  [[nodiscard]] std::optional<std::string> find(const std::string& ns, std::string_view name) const;
  [[nodiscard]] std::vector<std::string> in(const std::string& ns) const;
  // An index as listIndexes says it, as it is to be shown.
  [[nodiscard]] std::string shown(const std::string& ns, const bson::Document& listed) const;

  enum class Begun : uint8_t {
    kYes,   // until end_build()
    kHeld,  // ask again soon
    kGone,  // it is none of these any more
  };
  [[nodiscard]] Begun begin_build(const std::string& ns, const std::string& name);
  void end_build(const std::string& ns, const std::string& name);
  [[nodiscard]] bool is_being_built(const std::string& ns, std::string_view name) const;
  // As often held as released: HeldBuilds.
  void hold(const std::string& ns);
  void release(const std::string& ns);

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::map<std::string, std::string, std::less<>>> specs_ GUARDED_BY(mutex_);
  std::map<std::string, std::set<std::string, std::less<>>> building_ GUARDED_BY(mutex_);
  std::multiset<std::string> held_ GUARDED_BY(mutex_);  // namespaces
};

// No build of a collection's begins for as long as this lives, which `indexes` outlives.
class HeldBuilds {
 public:
  HeldBuilds(RelaxedIndexes& indexes, std::string ns) : indexes_(indexes), ns_(std::move(ns)) {
    indexes_.hold(ns_);
  }
  ~HeldBuilds() { indexes_.release(ns_); }
  HeldBuilds(const HeldBuilds&) = delete;
  HeldBuilds& operator=(const HeldBuilds&) = delete;

 private:
  RelaxedIndexes& indexes_;
  const std::string ns_;
};

}  // namespace outrigger
