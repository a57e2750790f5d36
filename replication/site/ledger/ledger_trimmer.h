// How much of the ledger is kept.
//
// The rule: what is older than may be goes, and while there are more bytes than may be, the oldest;
// but only what is closed. What is open stays by both, until open losses alone take twice the bytes
// that may be: then the oldest of these go as well, and people are told. What is set aside (a
// document, a record, a part left out) is never dropped: it is kept nowhere else for people.
//
// Nothing is scanned when an entry is written: the log knows how many bytes there are, and of how
// many open losses. A search for what may go begins where the last one ended, as everything before
// that stays; entries that come with an older stamp move the place back.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/outbox.h"
#include "replication/site/state/alarms.h"
#include "replication/site/state/replica_status.h"
#include "replication/site/state/site_context.h"

namespace outrigger {

// Whether something is still to come of the entry under this key. What the log says counts: it
// changes in one piece with the entry.
[[nodiscard]] Result<bool> is_open_entry(const outbox::Outbox& outbox, const std::string& key,
                                         const LedgerEntry& entry);

// Thread-safe.
class LedgerTrimmer {
 public:
  // Both outlive this.
  LedgerTrimmer(const SiteContext& context, Alarms& alarms) : context_(context), alarms_(alarms) {}

  [[nodiscard]] Status load();
  // An entry is written under this key.
  void came(const std::string& key);
  // Drops what may not stay; a bounded step. One caller at a time.
  [[nodiscard]] Status trim();
  void describe(ReplicaStatus& status) const;

 private:
  // What goes: closed entries, or open losses; while there are more bytes than `goal`, and all up
  // to a stamp.
  struct Pass {
    bool of_open = false;
    uint64_t bytes = 0;
    uint64_t goal = UINT64_MAX;
    Hlc before = 0;
    uint64_t read = 0;     // so far, in bytes
    uint64_t dropped = 0;  // likewise, because of `goal`
  };
  [[nodiscard]] Status trim_closed() REQUIRES(trimming_);
  [[nodiscard]] Status trim_open() REQUIRES(trimming_);
  [[nodiscard]] Status note_oldest() REQUIRES(trimming_);
  [[nodiscard]] Result<bool> is_due(const std::string& from, Hlc before) const;
  [[nodiscard]] Result<bool> piece(Pass& pass) REQUIRES(trimming_);
  [[nodiscard]] Status drop(outbox::Batch batch, bool of_open, uint64_t count);
  void say_closed(const Pass& pass, bool only_open) REQUIRES(trimming_);

  const SiteContext& context_;
  Alarms& alarms_;

  mutable Mutex mutex_;
  std::string closed_from_ GUARDED_BY(mutex_);  // nothing before this key is closed
  std::string open_from_ GUARDED_BY(mutex_);    // nor, before this one, an open loss
  std::string first_ GUARDED_BY(mutex_);        // there is no entry before this key

  std::atomic<uint64_t> dropped_{0};       // closed entries, since the data_dir was made
  std::atomic<uint64_t> dropped_open_{0};  // likewise, open losses
  std::atomic<int64_t> oldest_ms_{0};

  Mutex trimming_;                                 // one caller at a time; held over the log
  uint64_t unsaid_ GUARDED_BY(trimming_) = 0;      // dropped since a line in the log said so
  Hlc dropped_through_ GUARDED_BY(trimming_) = 0;  // the newest stamp dropped in this run
  int64_t said_us_ GUARDED_BY(trimming_) = 0;      // monotonic
};

}  // namespace outrigger
