// What peers ask for and bring: hello, reports, segments in, status. (Out: replica_read.cc.)
#include <algorithm>

#include "replication/record/record_codec.h"
#include "replication/site/replica_impl.h"

namespace outrigger {

SiteHello Replica::hello() const {
  const std::lock_guard lock(impl_->mutex);
  SiteHello hello;
  hello.site = impl_->options.site;
  hello.site_id = impl_->self.site;
  hello.epoch = impl_->self.epoch;
  hello.policy_hash = impl_->options.policy_hash;
  hello.members = impl_->options.members;
  std::sort(hello.members.begin(), hello.members.end());
  hello.applied = impl_->durable;
  hello.stable = impl_->stability.stable();
  hello.floor = impl_->floor;
  return hello;
}

Report Replica::report() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->stability.report(impl_->durable, impl_->issued());
}

std::vector<Report> Replica::reports() {
  const std::lock_guard lock(impl_->mutex);
  std::vector<Report> all{impl_->stability.report(impl_->durable, impl_->issued())};
  for (Report& report : impl_->stability.latest()) all.push_back(std::move(report));
  return all;
}

Status Replica::offer(std::vector<Segment> segments, const Origin& from) {
  bool fresh = false;
  Status result;
  for (Segment& segment : segments) {
    auto taken = impl_->offer(std::move(segment), from);
    if (!taken) result = tl::unexpected(taken.error());
    if (!taken) break;
    fresh = fresh || *taken;
  }
  if (fresh) {
    const std::lock_guard lock(impl_->wakers_mutex);
    if (impl_->arrived) impl_->arrived();
  }
  return result;
}

// True when it has put something into the inbox.
Result<bool> Replica::Impl::offer(Segment segment, const Origin& from) {
  const Origin origin = segment.origin;
  std::string about = "stream of " + to_text(origin);
  std::string wrong;
  bool fresh = false;
  {
    const std::lock_guard lock(mutex);
    if (origin == self) {
      if (segment.through > hlc.issued()) {
        return fail(ErrorCode::kRefused, "take segment", to_text(origin),
                    "it holds stamps of this very process that it never issued",
                    "two copies of this site are running: stop one and give it an empty data_dir");
      }
      duplicate_records += segment.records.size();
      return false;
    }
    wrong = wrong_with_origin(origin);
    if (!wrong.empty()) {
      // Names can be made up without end: one alarm for whoever sends them.
      about = "records by " + to_text(from);
      wrong = to_text(from) + " sent " + wrong + ": not taken";
    } else if (is_retired(segment)) {
      duplicate_records += segment.records.size();
    } else {
      auto taken = take_in(std::move(segment), from);
      if (!taken) return tl::unexpected(taken.error());
      duplicate_records += taken->duplicates;
      fresh = taken->fresh;
      if (fresh) calm(about);
      if (!taken->mismatch.empty()) {
        wrong = taken->mismatch +
                ": two histories go by one name, and what this site lacks of either is held back";
      }
    }
  }
  if (!wrong.empty()) alarm(about, wrong);
  return fresh;
}

// Of an epoch that was retired here? All its stamps are at or below the watermark, all of later
// epochs beyond.
bool Replica::Impl::is_retired(const Segment& segment) const {
  if (visible.at(segment.origin) != 0) return false;
  const Hlc first = segment.records.empty() ? segment.through : segment.records.front().hlc;
  return first <= visible.at(VersionVector::retired_of(segment.origin.site));
}

Result<Inbox::Taken> Replica::Impl::take_in(Segment segment, const Origin& from) {
  const Origin origin = segment.origin;
  const Report* report = stability.latest_of(origin.site);
  const Word word = promises.word_of(from, origin, report == nullptr ? 0 : report->epoch);
  const Hlc forgotten = floor.at(origin);
  const RecordRules rules = record_rules();
  return inbox.offer(
      std::move(segment), visible.at(origin), word,
      [&](Hlc stamp) {
        if (stamp <= forgotten) return true;
        auto entry = outbox.entry(origin, stamp);
        return !entry || entry->has_value();  // what cannot be read raises an alarm of its own
      },
      [&](const Record& record) { return wrong_with(record, rules); });
}

// Under mutex. Records and bytes are as exact as LogMarks; the age is exact.
PeerProgress Replica::Impl::progress_of(const SiteId& site, const VersionVector& acked) const {
  PeerProgress progress;
  const auto name = site_names.find(site);
  progress.site_id = to_hex(site);
  progress.site = name == site_names.end() ? progress.site_id : name->second;
  progress.acked = acked;
  const auto heard = heard_ms.find(site);
  progress.last_heard_ms = heard == heard_ms.end() ? 0 : heard->second;
  bool behind_open = false;
  for (const auto& [origin, through] : durable.entries()) {
    const Hlc has = acked.get(origin);
    if (has >= through || origin.site == site) continue;
    behind_open = behind_open || has < vector_at_open.get(origin);
    const auto marks = log_marks.find(origin);
    if (marks == log_marks.end()) continue;
    const LogMarks::Amount behind = marks->second.after(has);
    progress.records_behind += behind.records;
    progress.bytes_behind += behind.bytes;
  }
  if (behind_open) {
    progress.records_behind += entries_at_open;
    progress.bytes_behind += bytes_at_open;
  }
  return progress;
}

ReplicaStatus Replica::status() const {
  const Impl& impl = *impl_;
  const outbox::Usage usage = impl.outbox.usage();
  ReplicaStatus status;
  status.outbox_failure = impl.outbox.failure();
  status.outbox_records = usage.entries;
  status.outbox_bytes = usage.entries_bytes;
  status.rows = static_cast<uint64_t>(std::max<int64_t>(0, impl.rows));
  status.ledger_entries = usage.ledger;
  status.ledger_bytes = usage.ledger_bytes;
  status.ledger_bytes_max = impl.options.ledger_bytes_max;
  status.ledger_dropped = impl.ledger_dropped;
  status.ledger_oldest_ms = impl.ledger_oldest_ms;
  status.collected_rows = impl.collected_rows;
  {
    const std::lock_guard lock(impl.mutex);
    status.site = impl.options.site;
    status.site_id = to_hex(impl.self.site);
    status.epoch = impl.self.epoch;
    status.applied = impl.durable;
    status.stable = impl.stability.stable();
    status.issued = impl.hlc.issued();
    status.inbox_records = impl.inbox.records();
    status.inbox_bytes = impl.inbox.bytes();
    status.not_applied = impl.detached.size();
    status.quarantined = impl.quarantined.size();
    status.applied_records = impl.applied_records;
    status.duplicate_records = impl.duplicate_records;
    status.conflicts = impl.conflicts;
    for (const auto& [hlc, write] : impl.open) {
      if (write.settled) continue;
      if (status.open_writes++ == 0) {
        status.oldest_open_write_ms = (impl.clock.monotonic_us() - write.since_us) / 1000;
      }
    }
    status.held = impl.held_by_locks;
    if (!impl.apply_trouble.empty()) status.held.push_back(impl.apply_trouble);
    for (const auto& [origin, queue] : impl.inbox.queues()) {
      if (queue.empty() || !impl.hlc.too_far_ahead(queue.front().through)) continue;
      status.held.push_back(to_text(origin) + ": its clock is more than " +
                            std::to_string(impl.options.max_ahead_ms) + " ms ahead of ours");
    }
    for (const auto& [about, text] : impl.alarms) status.alarms.push_back(text);
    if (impl.hlc.wall_is_behind()) {
      status.held.emplace_back("our own wall clock is far behind the stamps already issued");
    }
    impl.list_peers(status);
  }
  impl.fill_ages(status);
  return status;
}

// Every other member, also one that has not been heard of in this run.
void Replica::Impl::list_peers(ReplicaStatus& status) const {
  std::set<std::string> missing(options.members.begin(), options.members.end());
  missing.erase(options.site);
  for (const Report& report : stability.latest()) {
    status.peers.push_back(progress_of(report.site, report.vector));
    missing.erase(status.peers.back().site);
  }
  for (const std::string& name : missing) {
    if (status.peers.size() + 1 >= options.members.size()) break;  // heard, but not introduced
    status.peers.push_back(progress_of(SiteId{}, {}));
    status.peers.back().site = name;
    status.peers.back().site_id.clear();
  }
}

// Without the mutex: reads the log.
void Replica::Impl::fill_ages(ReplicaStatus& status) const {
  for (PeerProgress& peer : status.peers) {
    Hlc oldest = 0;
    for (const auto& [origin, through] : status.applied.entries()) {
      const Hlc has = peer.acked.get(origin);
      if (has >= through) continue;
      auto first = outbox.read_entries(origin, has, through, 1);
      if (!first || first->empty()) continue;
      if (oldest == 0 || first->front().first < oldest) oldest = first->front().first;
    }
    if (oldest == 0) {
      peer.records_behind = peer.bytes_behind = 0;
    } else {
      peer.oldest_behind_ms = std::max<int64_t>(1, clock.wall_ms() - hlc_ms(oldest));
    }
  }
}

}  // namespace outrigger
