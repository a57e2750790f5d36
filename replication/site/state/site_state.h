// What a site knows about who has what: its clock and vectors, its writes under way, what peers
// have sent and what they are known to have.
//
// All of that must be read and changed together (a stamp and its dependencies are one reading), so
// one mutex guards it, and nobody sees a field: the verbs below say what happened or ask what is
// so, and each takes the lock by itself. It is never held over a sync or a call of the store, nor
// while a callback runs. The parts under it are pure; each is explained in its header.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "config/thread_annotations.h"
#include "replication/causality/hybrid_clock.h"
#include "replication/site/state/log_backlog.h"
#include "replication/site/state/open_writes.h"
#include "replication/site/state/peer_news.h"
#include "replication/site/state/replica_status.h"
#include "replication/site/state/retiring.h"
#include "replication/site/state/site_context.h"
#include "replication/site/state/site_vectors.h"

namespace outrigger {

// Thread-safe.
class SiteState {
 public:
  // As read from the log. `context` outlives this.
  struct Loaded {
    VersionVector applied;
    VersionVector floor;
    VersionVector journaled;
    outbox::Usage usage;
    int64_t rows = 0;
  };
  SiteState(const SiteContext& context, Loaded loaded);

  // ---- the clock's bound, which must be in the log ahead of every stamp (hybrid_clock.h)
  [[nodiscard]] Hlc bound_needed() const {
    const MutexLock lock(mutex_);
    return clock_.bound_needed();
  }
  void bound_written(Hlc bound) {
    const MutexLock lock(mutex_);
    clock_.set_bound(bound);
  }

  // ---- writes of this site
  void open_for_writes() {
    const MutexLock lock(mutex_);
    accepts_writes_ = true;
  }
  // kUnavailable: not open yet, or as many epochs of this site as there may be.
  [[nodiscard]] Status admit() const;
  // A stamp and what it depends on, in one reading. From here on it holds back publication, and
  // `write` is moved from. Nothing: the clock's bound is used up; renew it and ask again.
  [[nodiscard]] std::optional<LocalWrite> begin(OpenWrite& write);
  // Of a write that is open: counter entries up to here are not extended by it.
  [[nodiscard]] Hlc closed_for(Hlc stamp) const;
  // They are in the log, by one append. Returns its number. Those of earlier runs are seen by that:
  // no link is open yet, and none opens before they are on disk.
  uint64_t settled(std::span<const SettledWrite> writes);
  // Append number `append` is on disk, which settled these. True: more is published now.
  bool settled_durably(std::span<const Hlc> stamps, uint64_t append);
  [[nodiscard]] Unsynced unsynced(UnsyncedDocuments::Slot slot) const {
    const MutexLock lock(mutex_);
    return writes_.unsynced(slot);
  }
  // ---- what a crash of the store cannot take back (recovery/redo.h)
  // All that the store has answered, or taken from peers: once it has then been seen to journal
  // something, it holds that.
  [[nodiscard]] VersionVector answered() const;
  // A stamp of no record: when journaled() has it, so has it all the store had answered before this
  // call. 0: the bound is to be renewed first. Published at once, as no write will do that: peers
  // forget nothing before they have heard of all that was issued.
  [[nodiscard]] Hlc stamp();
  void journaled(const VersionVector& through) {
    const MutexLock lock(mutex_);
    vectors_.journaled(through);
  }
  [[nodiscard]] VersionVector journaled() const {
    const MutexLock lock(mutex_);
    return vectors_.journaled();
  }

  // The record that retires old epochs (retiring.h), under a stamp that is open from here on.
  // Nothing: not now. Of stamp 0: the clock's bound is used up; renew it and ask again.
  [[nodiscard]] std::optional<Record> begin_retiring();

  // ---- exchange with peers
  struct Standing {
    VersionVector applied;  // and stored, durable: what we acknowledge
    VersionVector visible;
    VersionVector stable;
    VersionVector closed;
    VersionVector floor;
    Hlc issued = 0;
    Hlc published = 0;
  };
  [[nodiscard]] Standing standing() const;
  [[nodiscard]] VersionVector applied() const {
    const MutexLock lock(mutex_);
    return vectors_.durable();
  }
  [[nodiscard]] std::vector<Report> reports() {  // this site's first
    const MutexLock lock(mutex_);
    return news_.reports(vectors_.durable(), clock_.issued());
  }
  struct Sendable {
    VersionVector records;
    VersionVector known;  // up to where there are no others that a peer would have to wait for
  };
  [[nodiscard]] Sendable sendable() const;
  // kRefused: of an origin not all that comes after its start is in the log any more.
  [[nodiscard]] Status still_holds(const std::vector<Dot>& starts) const;
  [[nodiscard]] Result<Offered> offer(Segment segment, const Origin& from, const MemberIds& met);
  [[nodiscard]] Heard hear(const Report& report, const Origin& from, const MemberIds& met);
  void linked(const Origin& peer) {
    const MutexLock lock(mutex_);
    news_.linked(peer);
  }
  void parted(const Origin& peer) {
    const MutexLock lock(mutex_);
    news_.parted(peer);
  }

  // ---- applying records of peers
  struct Front {
    std::map<Origin, std::vector<Inbox::Item>> queues;
    VersionVector delivered;  // what dependencies are checked with
  };
  [[nodiscard]] Front front(size_t records_max) const {
    const MutexLock lock(mutex_);
    return {news_.inbox().front(records_max), vectors_.delivered()};
  }
  // They need no disk (stability.h).
  void take_promises(const std::vector<Inbox::Promised>& promised) {
    const MutexLock lock(mutex_);
    news_.take_promises(promised, vectors_.visible());
  }
  // The batch that a crash interrupted is applied again: later stamps lie beyond it.
  void observe(const VersionVector& vector);
  struct Batch {
    const VersionVector& after;  // the entries that move
    const std::vector<Inbox::Promised>& promised;
    size_t applied_records = 0;
    std::vector<std::pair<Dot, size_t>> log;  // all of its records, and their bytes
  };
  // Its records and rows are on disk: who sees its effects and writes gets a later stamp.
  void rows_durable(const Batch& batch);
  // Its values are in the store.
  void stored(const VersionVector& after, std::span<const std::shared_ptr<const Record>> records);
  // There are more documents with metadata, or fewer.
  void rows_changed(int64_t by) { rows_ += by; }

  // ---- forgetting
  struct Common {
    bool moved = false;  // of what is stable
    VersionVector stable;
    VersionVector acknowledged;  // by every member; empty until all have reported in this run
    VersionVector known;         // all that stands in rows here, as far as it is published
  };
  [[nodiscard]] Common update_stability();
  struct Kept {
    Hlc floor = 0;
    Hlc last = 0;  // 0: retired, or none yet
  };
  [[nodiscard]] Kept kept_of(const Origin& origin) const {
    const MutexLock lock(mutex_);
    return {vectors_.floor().at(origin), vectors_.durable().at(origin)};
  }
  // The log is going to be without records up to there: first this, for who reads it meanwhile.
  void raise_floor(const Origin& origin, Hlc through);
  // Once after epochs were retired, and at start: what is applied. Of other origins there may be
  // remains.
  [[nodiscard]] std::optional<VersionVector> begin_purge();

  // Fills in what is known here, and returns what is of the peers.
  [[nodiscard]] Progress describe(ReplicaStatus& status) const;

 private:
  // It is durable that they are.
  void retired(const VersionVector& epochs, Hlc watermark) REQUIRES(mutex_);

  const SiteContext& context_;

  mutable Mutex mutex_;
  HybridClock clock_ GUARDED_BY(mutex_);
  SiteVectors vectors_ GUARDED_BY(mutex_);
  OpenWrites writes_ GUARDED_BY(mutex_);
  bool accepts_writes_ GUARDED_BY(mutex_) = false;
  PeerNews news_ GUARDED_BY(mutex_);
  LogBacklog backlog_ GUARDED_BY(mutex_);
  Retiring retiring_ GUARDED_BY(mutex_);
  uint64_t applied_records_ GUARDED_BY(mutex_) = 0;

  std::atomic<int64_t> rows_;
};

}  // namespace outrigger
