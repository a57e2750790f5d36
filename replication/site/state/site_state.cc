#include "replication/site/state/site_state.h"

#include <algorithm>

namespace outrigger {
namespace {

HybridClock::Options clock_options(int64_t ahead_ms_max) {
  HybridClock::Options options;
  options.ahead_ms_max = ahead_ms_max;
  return options;
}

}  // namespace

SiteState::SiteState(const SiteContext& context, Loaded loaded)
    : context_(context),
      clock_(context.clock, context.start, clock_options(context.options.max_ahead_ms)),
      vectors_(context.self, loaded.applied, std::move(loaded.floor), std::move(loaded.journaled)),
      news_(context),
      backlog_(loaded.usage, std::move(loaded.applied)),
      rows_(loaded.rows) {}

// ---- writes of this site

Status SiteState::admit() const {
  const MutexLock lock(mutex_);
  if (!accepts_writes_) {
    return fail(ErrorCode::kUnavailable, "begin write", "", "recovery has not finished");
  }
  const VersionVector& durable = vectors_.durable();
  const Origin& self = context_.self;
  if (durable.at(self) == 0 && durable.entries_of(self.site) >= context_.epochs_max()) {
    return fail(ErrorCode::kUnavailable, "begin write", "",
                "this site was started too often while another was away",
                "start the sites that are away, then their records of earlier runs are settled");
  }
  return {};
}

// Should the prepare of the write never be written, or perhaps written, the recovery of the next
// start settles it.
std::optional<LocalWrite> SiteState::begin(OpenWrite& write) {
  const MutexLock lock(mutex_);
  const Hlc stamp = clock_.issue();
  if (stamp == 0) return std::nullopt;
  write.seen = vectors_.seen();
  writes_.begin(stamp, std::move(write));
  return LocalWrite{stamp, vectors_.deps_of(stamp)};
}

Hlc SiteState::closed_for(Hlc stamp) const {
  const MutexLock lock(mutex_);
  OUTRIGGER_ASSERT(writes_.contains(stamp));
  return news_.stability().own_closed();
}

uint64_t SiteState::settled(std::span<const SettledWrite> writes) {
  const MutexLock lock(mutex_);
  const uint64_t append = writes_.append();
  for (const SettledWrite& write : writes) {
    const Dot& dot = write.dot;
    if (write.record_bytes > 0) backlog_.wrote(dot.origin, dot.hlc, write.record_bytes);
    if (dot.origin == context_.self) {
      writes_.settle(write, append);
    } else {
      vectors_.recovered(dot);
    }
  }
  return append;
}

bool SiteState::settled_durably(std::span<const Hlc> stamps, uint64_t append) {
  const MutexLock lock(mutex_);
  for (const Hlc stamp : stamps) {
    if (!writes_.durable(stamp)) continue;
    const auto epochs = retiring_.durable(stamp);
    if (epochs) retired(epochs->ends, epochs->watermark);
  }
  writes_.synced(append);
  const OpenWrites::Published published = writes_.raise_published(clock_.issued());
  if (published.newest_record != 0) vectors_.published(published.newest_record);
  return published.moved;
}

Hlc SiteState::stamp() {
  const MutexLock lock(mutex_);
  const Hlc stamp = clock_.issue();
  const OpenWrites::Published published = writes_.raise_published(stamp);
  if (published.newest_record != 0) vectors_.published(published.newest_record);
  return stamp;
}

VersionVector SiteState::answered() const {
  const MutexLock lock(mutex_);
  const auto* owed = writes_.first_unanswered();
  VersionVector answered = vectors_.durable();
  // What came to be applied since that write began may stand on later ones of ours that are not in
  // this: a cut has no effect without what it was done upon.
  if (owed != nullptr && owed->second.seen) {
    answered = VersionVector::minimum(answered, *owed->second.seen);
  }
  answered.erase(context_.self);
  answered.raise(context_.self, owed != nullptr ? owed->first - 1 : clock_.issued());
  return answered;
}

std::optional<Record> SiteState::begin_retiring() {
  const MutexLock lock(mutex_);
  if (!accepts_writes_) return std::nullopt;
  // Their records go, and the store may need them yet.
  if (!vectors_.journaled().includes(vectors_.old_epochs())) return std::nullopt;
  VersionVector old = retiring_.ready(vectors_, news_, context_.start);
  if (old.empty()) return std::nullopt;
  Record record;
  record.hlc = clock_.issue();
  if (record.hlc == 0) return record;
  record.origin = context_.self;
  record.deps = vectors_.deps_of(record.hlc);
  record.retired = std::move(old);
  retiring_.begin(record);
  OpenWrite write;
  write.since_us = context_.clock.monotonic_us();
  write.settled = write.wrote = true;
  writes_.begin(record.hlc, std::move(write));
  return record;
}

void SiteState::retired(const VersionVector& epochs, Hlc watermark) {
  vectors_.retired(epochs, watermark);
  news_.retired(epochs, watermark);
  for (const auto& [origin, last] : epochs.entries()) backlog_.forget(origin);
  retiring_.purge_later();
}

// ---- exchange with peers

SiteState::Standing SiteState::standing() const {
  const MutexLock lock(mutex_);
  const Stability& stability = news_.stability();
  return {vectors_.durable(), vectors_.visible(), stability.stable(), stability.closed(),
          vectors_.floor(),   clock_.issued(),    writes_.published()};
}

SiteState::Sendable SiteState::sendable() const {
  const MutexLock lock(mutex_);
  return {vectors_.durable(), news_.known(vectors_.durable(), writes_.published())};
}

Status SiteState::still_holds(const std::vector<Dot>& starts) const {
  const MutexLock lock(mutex_);
  for (const Dot& from : starts) {
    if (from.hlc >= vectors_.floor().at(from.origin)) continue;
    return fail(ErrorCode::kRefused, "read outbox", to_text(from.origin),
                "the peer lacks records that are no longer held",
                "give that site an empty data_dir and copy the data to it");
  }
  return {};
}

Result<Offered> SiteState::offer(Segment segment, const Origin& from, const MemberIds& met) {
  const MutexLock lock(mutex_);
  return news_.offer(std::move(segment), from, met, vectors_, clock_.issued());
}

Heard SiteState::hear(const Report& report, const Origin& from, const MemberIds& met) {
  const MutexLock lock(mutex_);
  return news_.hear(report, from, met, vectors_);
}

// ---- applying records of peers

void SiteState::observe(const VersionVector& vector) {
  const MutexLock lock(mutex_);
  for (const auto& [origin, hlc] : vector.entries()) clock_.observe(hlc);
}

void SiteState::rows_durable(const Batch& batch) {
  const MutexLock lock(mutex_);
  for (const auto& [dot, bytes] : batch.log) {
    clock_.observe(dot.hlc);
    backlog_.wrote(dot.origin, dot.hlc, bytes);
  }
  vectors_.rows_durable(batch.after);
  news_.drop_applied(vectors_.visible(), batch.promised);
  applied_records_ += batch.applied_records;
}

void SiteState::stored(const VersionVector& after,
                       std::span<const std::shared_ptr<const Record>> records) {
  const MutexLock lock(mutex_);
  vectors_.stored(after);
  for (const auto& record : records) {
    if (!record->retired.empty()) retired(record->retired, watermark_of(*record));
  }
}

// ---- forgetting

SiteState::Common SiteState::update_stability() {
  const MutexLock lock(mutex_);
  const VersionVector& durable = vectors_.durable();
  const bool moved = news_.update_stability(durable, clock_.issued(), writes_.published());
  VersionVector known = vectors_.visible();
  known.raise(durable);
  return {moved, news_.stability().stable(), news_.acknowledged(durable), std::move(known)};
}

void SiteState::raise_floor(const Origin& origin, Hlc through) {
  const MutexLock lock(mutex_);
  vectors_.raise_floor(origin, through);
  backlog_.forget(origin, through);
}

std::optional<VersionVector> SiteState::begin_purge() {
  const MutexLock lock(mutex_);
  if (!retiring_.take_purge()) return std::nullopt;
  vectors_.forget_floors_of_retired();
  return vectors_.durable();
}

Progress SiteState::describe(ReplicaStatus& status) const {
  status.rows = static_cast<uint64_t>(std::max<int64_t>(0, rows_));
  const MutexLock lock(mutex_);
  status.applied = vectors_.durable();
  status.issued = clock_.issued();
  status.applied_records = applied_records_;
  const OpenWrites::Waiting waiting = writes_.waiting();
  status.open_writes = waiting.count;
  if (waiting.count > 0) {
    status.oldest_open_write_ms = (context_.clock.monotonic_us() - waiting.oldest_since_us) / 1000;
  }
  news_.describe(status, clock_);
  if (clock_.wall_is_behind()) {
    status.held.emplace_back("our own wall clock is far behind the stamps already issued");
  }
  return news_.progress(backlog_, vectors_.durable());
}

}  // namespace outrigger
