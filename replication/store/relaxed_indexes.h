// Unique indexes that this site has relaxed: documents may share a key in them, and new duplicates
// are refused (key_guard.h). What they are remains unique: the store shows them so, and nothing of
// it is told to other sites. An index that an app has prepared itself is none of these.
//
// This is what the store and the write path ask; what of it lasts is in the log (kept/kept_keys.h).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
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

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::map<std::string, std::string, std::less<>>> specs_ GUARDED_BY(mutex_);
};

}  // namespace outrigger
