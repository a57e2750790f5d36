// How much of the log a peer still lacks, without reading the log: marks of what was written since
// this process started, and the sum of what was there before.
#pragma once

#include <map>

#include "replication/causality/version_vector.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/log_marks.h"

namespace outrigger {

// Not thread-safe: lives under the lock of SiteState.
class LogBacklog {
 public:
  // What the log held when it was opened.
  LogBacklog(const outbox::Usage& usage, VersionVector vector)
      : entries_at_open_(usage.entries),
        bytes_at_open_(usage.entries_bytes),
        vector_at_open_(std::move(vector)) {}

  void wrote(const Origin& origin, Hlc stamp, size_t bytes) { marks_[origin].add(stamp, bytes); }
  // Records up to `through` are gone.
  void forget(const Origin& origin, Hlc through) { marks_[origin].drop(through); }
  void forget(const Origin& origin) { marks_.erase(origin); }

  // What `site` lacks, which has `acked`, of what is `durable` here. As exact as LogMarks.
  [[nodiscard]] LogMarks::Amount behind(const SiteId& site, const VersionVector& acked,
                                        const VersionVector& durable) const {
    LogMarks::Amount behind;
    bool behind_open = false;
    for (const auto& [origin, through] : durable.entries()) {
      const Hlc has = acked.get(origin);
      if (has >= through || origin.site == site) continue;
      behind_open = behind_open || has < vector_at_open_.get(origin);
      const auto marks = marks_.find(origin);
      if (marks == marks_.end()) continue;
      const LogMarks::Amount more = marks->second.after(has);
      behind.records += more.records;
      behind.bytes += more.bytes;
    }
    if (behind_open) {
      behind.records += entries_at_open_;
      behind.bytes += bytes_at_open_;
    }
    return behind;
  }

 private:
  std::map<Origin, LogMarks> marks_;
  const uint64_t entries_at_open_;
  const uint64_t bytes_at_open_;
  const VersionVector vector_at_open_;
};

}  // namespace outrigger
