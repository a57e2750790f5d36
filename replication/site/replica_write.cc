// Local writes: begin, settle, drop, and the publication that follows the sync.
#include <algorithm>
#include <iterator>

#include "replication/record/bytes.h"
#include "replication/record/record_codec.h"
#include "replication/site/replica_impl.h"

namespace outrigger {

std::string encode_retry(int64_t wall_ms, const std::string& answer) {
  return outbox::sortable(static_cast<uint64_t>(wall_ms)) + answer;
}

Result<std::string> retry_answer(std::string_view bytes) {
  ByteReader in(bytes, "retry entry");
  (void)in.u64_be();
  if (!in.ok()) return in.error();
  return std::string(in.rest());
}

Status Replica::admit() const {
  if (Status room = impl_->outbox.admit(); !room) return room;
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->accepts_writes) {
    return fail(ErrorCode::kUnavailable, "begin write", "", "recovery has not finished");
  }
  const VersionVector& vector = impl_->durable;
  if (vector.at(impl_->self) == 0 && vector.entries_of(impl_->self.site) >= impl_->epochs_max()) {
    return fail(ErrorCode::kUnavailable, "begin write", "",
                "this site was started too often while another was away",
                "start the sites that are away, then their records of earlier runs are settled");
  }
  return {};
}

Result<LocalWrite> Replica::begin(Prepare prepare, StagedWrites& staged) {
  if (Status admitted = admit(); !admitted) return tl::unexpected(admitted.error());
  LocalWrite write;
  Impl::OpenWrite open;
  open.since_us = impl_->clock.monotonic_us();
  open.by_content = prepare.session.txn_number < 0;
  open.documents.reserve(prepare.documents.size());
  for (const PreparedDocument& document : prepare.documents) {
    open.documents.push_back(
        UnsyncedDocuments::slot_of(document.ns, bson::canonical_key(document.id.view())));
  }
  while (true) {
    {
      const std::lock_guard lock(impl_->mutex);
      write.hlc = impl_->hlc.issue();
      if (write.hlc != 0) {
        write.deps = impl_->visible;
        write.deps.raise(impl_->self, write.hlc - 1);
        // From here on the stamp holds back publication. Should its prepare never be written, or
        // perhaps written, the recovery of the next start settles it.
        impl_->open.emplace(write.hlc, std::move(open));
        break;
      }
    }
    if (Status renewed = impl_->renew_bound(); !renewed) return tl::unexpected(renewed.error());
  }
  prepare.hlc = write.hlc;
  prepare.origin = impl_->self;
  prepare.deps = write.deps;
  staged.batch_.put_prepare(write.hlc, encode_prepare(prepare));
  return write;
}

void Replica::Impl::put_retries(outbox::Batch& batch,
                                const std::vector<RetryEntry>& retries) const {
  for (const RetryEntry& retry : retries) {
    batch.put_retry(retry.key, encode_retry(clock.wall_ms(), retry.value));
  }
}

Status Replica::settle(const LocalWrite& write, std::vector<DocumentChange> changes,
                       const std::vector<RetryEntry>& retries, StagedWrites& staged) {
  Hlc closed = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    OUTRIGGER_ASSERT(impl_->open.count(write.hlc) == 1);
    closed = impl_->stability.own_closed();
  }
  auto settled = impl_->make_batch(Dot{write.hlc, impl_->self}, write.deps, closed,
                                   std::move(changes), retries);
  if (!settled) return tl::unexpected(settled.error());
  staged.batch_.append(std::move(settled->batch));
  staged.batch_.remove_prepare(write.hlc);
  if (settled->records.empty()) staged.settled_.push_back({write.hlc, false, 0});
  for (const auto& [dot, bytes] : settled->records) {
    staged.settled_.push_back({dot.hlc, bytes > 0, bytes});
  }
  staged.rows_ += settled->rows;
  std::move(settled->detached.begin(), settled->detached.end(),
            std::back_inserter(staged.detached_));
  return {};
}

void Replica::drop(const LocalWrite& write, const std::vector<RetryEntry>& retries,
                   StagedWrites& staged) {
  impl_->put_retries(staged.batch_, retries);
  staged.batch_.remove_prepare(write.hlc);
  staged.settled_.push_back({write.hlc, false, 0});
}

Status Replica::write(StagedWrites&& staged) {
  Impl& impl = *impl_;
  if (Status written = impl.outbox.write(std::move(staged.batch_)); !written) return written;
  impl.rows += staged.rows_;
  bool set_aside = false;
  uint64_t append = 0;
  {
    const std::lock_guard lock(impl.mutex);
    append = ++impl.appends;
    for (const StagedWrites::Settled& write : staged.settled_) {
      Impl::OpenWrite& open = impl.open[write.hlc];
      open.settled = true;
      open.wrote = write.wrote;
      for (const auto slot : open.documents) impl.unsynced.settled(slot, append, open.by_content);
      if (write.wrote) impl.mark_log(impl.self, write.hlc, write.bytes);
    }
    for (const std::string& key : staged.detached_) {
      set_aside = impl.retry_detached.insert(key).second || set_aside;
    }
  }
  // Not published before that is on disk, dropped or not: recovery would settle a prepare again.
  if (!staged.settled_.empty()) {
    std::vector<Hlc> stamps;
    stamps.reserve(staged.settled_.size());
    for (const StagedWrites::Settled& write : staged.settled_) stamps.push_back(write.hlc);
    impl.leave_to_sync(std::move(stamps), append);
  }
  if (set_aside) {
    const std::lock_guard lock(impl.wakers_mutex);
    if (impl.arrived) impl.arrived();
  }
  return {};
}

Result<LocalWrite> Replica::begin(Prepare prepare) {
  StagedWrites staged;
  auto begun = begin(std::move(prepare), staged);
  if (!begun) return begun;
  if (Status written = write(std::move(staged)); !written) return tl::unexpected(written.error());
  return begun;
}

Status Replica::settle(const LocalWrite& write_, std::vector<DocumentChange> changes,
                       const std::vector<RetryEntry>& retries) {
  StagedWrites staged;
  Status settled = settle(write_, std::move(changes), retries, staged);
  if (!settled) return settled;
  return write(std::move(staged));
}

Status Replica::drop(const LocalWrite& write_, const std::vector<RetryEntry>& retries) {
  StagedWrites staged;
  drop(write_, retries, staged);
  return write(std::move(staged));
}

void Replica::Impl::leave_to_sync(std::vector<Hlc> stamps, uint64_t append) {
  commit.when_durable_soon(
      [weak = weak_from_this(), stamps = std::move(stamps), append](const Status& synced) {
        if (const auto impl = weak.lock()) impl->settle_durable(stamps, append, synced);
      });
}

void Replica::Impl::settle_durable(const std::vector<Hlc>& stamps, uint64_t append,
                                   const Status& synced) {
  if (!synced) return;  // failed: the stamps go on holding back publication
  bool moved = false;
  {
    const std::lock_guard lock(mutex);
    for (const Hlc stamp : stamps) {
      const auto write = open.find(stamp);
      if (write == open.end()) continue;
      if (write->second.wrote) unpublished.insert(unpublished.end(), stamp);
      open.erase(write);
      if (stamp != retiring.stamp) continue;
      retired(retiring.epochs, retiring.watermark);
      retiring = {};
    }
    unsynced.synced(append);
    moved = raise_published();
  }
  if (moved) wake();
}

Status Replica::Impl::settle_earlier(const Dot& dot, const VersionVector& deps,
                                     std::vector<DocumentChange> changes,
                                     const std::vector<RetryEntry>& retries) {
  // Entries of an earlier epoch are closed for good; a new one is opened.
  auto settled = make_batch(dot, deps, kHlcMax, std::move(changes), retries);
  if (!settled) return tl::unexpected(settled.error());
  settled->batch.remove_prepare(dot.hlc);
  if (Status written = outbox.write(std::move(settled->batch)); !written) return written;
  rows += settled->rows;
  std::vector<Hlc> ours;
  uint64_t append = 0;
  {
    const std::lock_guard lock(mutex);
    append = ++appends;
    for (const auto& [each, bytes] : settled->records) {
      if (bytes > 0) mark_log(each.origin, each.hlc, bytes);
      if (each.origin != self) {
        // No link is open yet, and none opens before this is on disk.
        durable.raise(each.origin, each.hlc);
        visible.raise(each.origin, each.hlc);
        continue;
      }
      open[each.hlc].settled = true;
      open[each.hlc].wrote = bytes > 0;
      ours.push_back(each.hlc);
    }
    for (const std::string& key : settled->detached) retry_detached.insert(key);
  }
  if (!ours.empty()) leave_to_sync(std::move(ours), append);
  return {};
}

Unsynced Replica::unsynced(std::string_view ns, std::string_view canonical_id) const {
  const auto slot = UnsyncedDocuments::slot_of(ns, canonical_id);
  const std::lock_guard lock(impl_->mutex);
  if (impl_->unsynced.has_recoverable_by_content(slot)) return Unsynced::kRecoverableByContent;
  return impl_->unsynced.has_any(slot) ? Unsynced::kRecoverableFromOplog : Unsynced::kNone;
}

Result<std::optional<std::string>> Replica::retry(const std::string& key) const {
  auto bytes = impl_->outbox.retry(key);
  if (!bytes || !*bytes) return bytes;
  return retry_answer(**bytes);
}

}  // namespace outrigger
