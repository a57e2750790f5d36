// Old epochs of this site go, so that what every record and hello carries does not grow with each
// start. Once every member has reported all of them to their ends, one record says so (record.h);
// whoever applies it, this site first, keeps a watermark in their place (version_vector.h).
//
// All old epochs go at once: the present one's stamps all lie beyond the start of this run, theirs
// all before it, so that one stamp tells them apart for ever.
#include <algorithm>

#include "replication/record/record_codec.h"
#include "replication/site/replica_impl.h"

namespace outrigger {
namespace {

constexpr size_t kPurgeBytes = 1u << 20;  // read at once

VersionVector old_epochs(const VersionVector& vector, const Origin& self) {
  VersionVector old;
  for (const auto& [origin, last] : vector.entries()) {
    if (origin.site == self.site && origin != self && origin.epoch != kRetired) {
      old.raise(origin, last);
    }
  }
  return old;
}

}  // namespace

bool Replica::Impl::may_retire() const {
  if (!accepts_writes || retiring.stamp != 0) return false;
  const VersionVector old = old_epochs(durable, self);
  if (old.empty()) return false;
  const auto is_late = [&](const auto& entry) { return entry.second > start; };
  // Of a restored image whose own past came back from others: its next start lies beyond it.
  if (std::any_of(old.entries().begin(), old.entries().end(), is_late)) return false;
  for (const auto& [queued, items] : inbox.queues()) {
    if (queued.site == self.site) return false;
  }
  const std::vector<Report> latest = stability.latest();
  if (latest.size() + 1 < options.members.size()) return false;
  return std::all_of(latest.begin(), latest.end(),
                     [&](const Report& report) { return report.vector.includes(old); });
}

Status Replica::Impl::retire_epochs() {
  Record record;
  while (record.hlc == 0) {
    {
      const std::lock_guard lock(mutex);
      if (!may_retire()) return {};
      record.hlc = hlc.issue();
      if (record.hlc != 0) {
        record.origin = self;
        record.deps = visible;
        record.deps.raise(self, record.hlc - 1);
        record.retired = old_epochs(durable, self);
        retiring = {record.hlc, record.retired, watermark_of(record)};
        OpenWrite write;
        write.since_us = clock.monotonic_us();
        write.settled = write.wrote = true;
        open.emplace(record.hlc, std::move(write));
        break;
      }
    }
    if (Status renewed = renew_bound(); !renewed) return renewed;
  }
  const std::string entry = encode_record(record);
  outbox::Batch batch;
  batch.put_fresh_entry(self, record.hlc, entry);
  batch.put_meta(meta_keys::of_origin(meta_keys::kVector, VersionVector::retired_of(self.site)),
                 outbox::sortable(watermark_of(record)));
  if (Status written = outbox.write(std::move(batch)); !written) return written;
  uint64_t append = 0;
  {
    const std::lock_guard lock(mutex);
    append = ++appends;
    mark_log(self, record.hlc, entry.size());
  }
  leave_to_sync({record.hlc}, append);
  return {};
}

void Replica::Impl::retired(const VersionVector& epochs, Hlc watermark) {
  const Origin mark = VersionVector::retired_of(epochs.entries().front().first.site);
  visible.raise(mark, watermark);
  durable.raise(mark, watermark);
  stability.retire(epochs, watermark);
  for (const auto& [origin, last] : epochs.entries()) {
    floor.erase(origin);
    log_marks.erase(origin);
  }
  purge_due = true;
}

// What is kept of epochs that are retired: records every member has, and places in vectors.
Status Replica::Impl::purge_retired() {
  VersionVector vector;
  {
    const std::lock_guard lock(mutex);
    if (!purge_due) return {};
    purge_due = false;
    vector = durable;
  }
  auto origins = outbox.origins();
  if (!origins) return tl::unexpected(origins.error());
  for (const Origin& origin : *origins) {
    if (origin == self || vector.at(origin) != 0) continue;
    while (true) {
      auto entries = outbox.read_entries(origin, 0, vector.get(origin), kPurgeBytes);
      if (!entries) return tl::unexpected(entries.error());
      if (entries->empty()) break;
      outbox::Batch batch;
      for (const auto& [stamp, bytes] : *entries) batch.remove_entry(origin, stamp);
      if (Status written = outbox.write(std::move(batch)); !written) return written;
    }
  }
  {
    const std::lock_guard lock(mutex);
    const VersionVector kept = floor;
    for (const auto& [origin, stamp] : kept.entries()) {
      if (durable.at(origin) == 0) floor.erase(origin);
    }
  }
  outbox::Batch batch;
  for (const char* prefix : {meta_keys::kVector, meta_keys::kFloor}) {
    auto pairs = outbox.scan_meta(prefix);
    if (!pairs) return tl::unexpected(pairs.error());
    for (const auto& [key, bytes] : *pairs) {
      const auto origin = meta_keys::origin_in(prefix, key);
      const bool gone = origin && *origin != self && vector.at(*origin) == 0 &&
                        vector.get(*origin) >= parse_sortable(bytes).value_or(kHlcMax);
      if (gone) batch.remove_meta(key);
    }
  }
  return batch.empty() ? Status() : outbox.write(std::move(batch));
}

}  // namespace outrigger
