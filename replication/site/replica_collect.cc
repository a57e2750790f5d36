// Forgetting: rows whose stamps are stable, records every member has, retry entries gone stale.
#include <algorithm>

#include "replication/merge/merge.h"
#include "replication/site/replica_impl.h"

namespace outrigger {
namespace {

constexpr size_t kTruncateRecords = 20'000;       // a step
constexpr size_t kTruncateBytes = 1u << 20;       // read at once
constexpr size_t kRowsAtOnce = 64;                // locked together
constexpr int64_t kRetryLifeMs = 35 * 60 * 1000;  // a server session lives 30 minutes
constexpr int64_t kRetryCheckMs = 60 * 1000;

struct RowKey {
  std::string ns;
  std::string canonical_id;
};

// What is to become of a row: nothing (unchanged), bytes, or removal (empty bytes).
Result<std::optional<std::string>> collected(std::string_view bytes, const VersionVector& stable,
                                             const VersionVector& closed) {
  auto state = merge::load_row(bytes);
  if (!state) return tl::unexpected(state.error());
  if (state->detached) return std::optional<std::string>();  // the only copy of its values
  std::string after =
      merge::collect(*state, stable, closed) ? merge::stable_row(*state) : merge::strip(*state);
  if (after == bytes) return std::optional<std::string>();
  return std::optional<std::string>(std::move(after));
}

}  // namespace

VersionVector Replica::Impl::acknowledged() const {
  const std::vector<Report> latest = stability.latest();
  if (latest.size() + 1 < options.members.size()) return {};
  VersionVector common = durable;
  for (const Report& report : latest) {
    common = VersionVector::minimum(common, report.vector);
  }
  return common;
}

Status Replica::collect_step(size_t documents_max) {
  const std::lock_guard one_caller(impl_->collect_mutex);
  if (Status renewed = impl_->renew_bound(); !renewed) return renewed;
  VersionVector acknowledged;
  VersionVector stable;
  bool moved = false;
  {
    const std::lock_guard lock(impl_->mutex);
    moved = impl_->stability.update(impl_->durable, impl_->issued(), impl_->known());
    acknowledged = impl_->acknowledged();
    stable = impl_->stability.stable();
  }
  if (moved) impl_->wake();
  if (Status retired = impl_->retire_epochs(); !retired) return retired;
  if (Status purged = impl_->purge_retired(); !purged) return purged;
  if (Status cut = impl_->truncate(acknowledged); !cut) return cut;
  if (Status trimmed = impl_->trim_ledger(); !trimmed) return trimmed;
  if (impl_->dropped_through != stable) {
    auto dropped = impl_->outbox.drop_cohorts([&](const Origin& of) { return stable.get(of); });
    if (!dropped) return tl::unexpected(dropped.error());
    impl_->rows -= static_cast<int64_t>(*dropped);
    impl_->collected_rows += *dropped;
    impl_->dropped_through = std::move(stable);
  }
  if (Status rows = impl_->collect_rows(documents_max); !rows) return rows;
  return impl_->expire_retries(documents_max);
}

Status Replica::Impl::truncate(const VersionVector& acknowledged) {
  size_t left = kTruncateRecords;
  for (const auto& [origin, through] : acknowledged.entries()) {
    if (origin.epoch == kRetired) continue;
    Hlc after = 0;
    Hlc last = 0;
    {
      const std::lock_guard lock(mutex);
      after = floor.at(origin);
      last = durable.at(origin);
    }
    if (last == 0) continue;  // retired
    while (left > 0 && after < through) {
      auto entries = outbox.read_entries(origin, after, through, kTruncateBytes);
      if (!entries) return tl::unexpected(entries.error());
      if (entries->empty()) break;
      outbox::Batch batch;
      for (const auto& [stamp, bytes] : *entries) batch.remove_entry(origin, stamp);
      after = entries->back().first;
      batch.put_meta(meta_keys::of_origin(meta_keys::kFloor, origin), outbox::sortable(after));
      // Our own entry is otherwise derived from the last record, which may be going.
      if (origin.site == self.site) {
        batch.put_meta(meta_keys::of_origin(meta_keys::kVector, origin), outbox::sortable(last));
      }
      {
        // First, for who reads the log meanwhile.
        const std::lock_guard lock(mutex);
        floor.raise(origin, after);
        log_marks[origin].drop(after);
      }
      if (Status written = outbox.write(std::move(batch)); !written) return written;
      left -= std::min(left, entries->size());
    }
  }
  return {};
}

// The namespace too: who has all of it to himself locks no documents.
static std::unique_ptr<LockRequest> try_lock(LockTable& table, const RowKey& key) {
  auto request = std::make_unique<LockRequest>();
  request->add(namespace_lock_key(key.ns), LockMode::kShared);
  request->add(document_lock_key(key.ns, key.canonical_id), LockMode::kExclusive);
  return table.try_acquire(*request) ? std::move(request) : nullptr;
}

Status Replica::Impl::collect_rows(size_t documents_max) {
  LockTable* const table = locks;
  if (table == nullptr) return {};
  VersionVector stable;
  VersionVector closed;
  {
    const std::lock_guard lock(mutex);
    stable = stability.stable();
    closed = stability.closed();
  }
  if (row_cursor.empty()) {
    if (!pass_under_way && pass_stable == stable && pass_closed == closed) return {};
    pass_stable = stable;
    pass_closed = closed;
    pass_under_way = false;  // set again when a locked row had to be passed over
  }
  std::vector<RowKey> ready;
  auto next =
      outbox.scan_rows(row_cursor, documents_max,
                       [&](std::string_view ns, std::string_view id, std::string_view bytes) {
                         auto after = collected(bytes, stable, closed);
                         if (!after || !*after) return;
                         ready.push_back(RowKey{std::string(ns), std::string(id)});
                       });
  if (!next) return tl::unexpected(next.error());
  row_cursor = std::move(*next);
  for (size_t begin = 0; begin < ready.size(); begin += kRowsAtOnce) {
    std::vector<std::unique_ptr<LockRequest>> held;
    outbox::Batch batch;
    int64_t gone = 0;
    Status result;
    for (size_t i = begin; i < std::min(begin + kRowsAtOnce, ready.size()) && result; ++i) {
      const RowKey& key = ready[i];
      auto request = try_lock(*table, key);
      if (!request) {
        pass_under_way = true;
        continue;
      }
      held.push_back(std::move(request));
      auto bytes = outbox.row(key.ns, key.canonical_id);
      if (!bytes) result = tl::unexpected(bytes.error());
      if (!bytes || !*bytes) continue;
      auto after = collected(**bytes, stable, closed);
      if (!after) result = tl::unexpected(after.error());
      if (!after || !*after) continue;
      if ((*after)->empty()) {
        batch.remove_row(key.ns, key.canonical_id);
        ++gone;
      } else {
        batch.put_row(key.ns, key.canonical_id, **after);
      }
    }
    if (result && !batch.empty()) result = outbox.write(std::move(batch));
    for (const auto& request : held) table->release(*request, Left::kNothing);
    if (!result) return result;
    rows -= gone;
    collected_rows += static_cast<uint64_t>(gone);
  }
  return {};
}

Status Replica::Impl::expire_retries(size_t count) {
  const int64_t now = clock.wall_ms();
  if (retry_cursor.empty() && now - retries_checked_ms < kRetryCheckMs) return {};
  retries_checked_ms = now;
  outbox::Batch batch;
  auto next =
      outbox.scan_retries(retry_cursor, count, [&](std::string_view key, std::string_view bytes) {
        const auto written_ms = parse_sortable(bytes.substr(0, 8));
        if (!written_ms || static_cast<int64_t>(*written_ms) + kRetryLifeMs < now) {
          batch.remove_retry(key);
        }
      });
  if (!next) return tl::unexpected(next.error());
  retry_cursor = std::move(*next);
  return batch.empty() ? Status() : outbox.write(std::move(batch));
}

}  // namespace outrigger
