// What every part of a site is given when it is made, and what does not change while it runs: its
// settings, its log and its clock, and the name of this run.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/clock.h"
#include "config/limits.h"
#include "replication/causality/stamp.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/outbox.h"
#include "replication/store/relaxed_indexes.h"

namespace outrigger {

class Policy;

struct ReplicaOptions {
  std::string site;
  std::vector<std::string> members;  // every site's name, ours included
  int64_t max_ahead_ms = 60'000;
  size_t inbox_bytes_max = limits::kInboxBytesMax;
  uint64_t ledger_bytes_max = 1ULL << 30;    // beyond, the oldest closed entries go
  int64_t ledger_keep_ms = 0;                // older ones go as well; 0: never
  size_t origins_max = limits::kOriginsMax;  // what falls to each member are its epochs
  // Which namespaces travel; empty: all.
  std::function<bool(std::string_view ns)> replicates;
  // How writes to paths merge; null: as by default. It outlives the replica, which changes it when
  // a record says so.
  Policy* policy = nullptr;
  // What its stores show as unique (store/relaxed_indexes.h).
  std::shared_ptr<RelaxedIndexes> relaxed = std::make_shared<RelaxedIndexes>();
  // One line for the log, once for each alarm; any thread.
  std::function<void(const std::string&)> alarm;
  std::function<void(const std::string&)> warn;  // the same for what is merely to be known
};

// Log, commit thread and clock outlive it, and it outlives the parts.
struct SiteContext {
  const ReplicaOptions options;
  outbox::Outbox& outbox;
  outbox::CommitThread& commit;
  const Clock& clock;
  const Origin self;  // this run of this site
  const Hlc start;    // every stamp of this run lies beyond

  // What nobody waits for. On disk soon all the same: until then the outbox has it in memory.
  [[nodiscard]] Status write_soon(outbox::Batch&& batch) const {
    Status written = outbox.write(std::move(batch));
    if (written) commit.request_sync_soon();
    return written;
  }
  // A site that has as many epochs as fall to each, and limits::kEpochsMin, writes no more until
  // old ones are retired.
  [[nodiscard]] size_t epochs_max() const {
    return std::max(limits::kEpochsMin, options.origins_max / options.members.size());
  }
};

}  // namespace outrigger
