#include "replication/site/local_writes.h"

#include <iterator>
#include <set>

#include "replication/bson/bson.h"
#include "replication/record/catalog.h"
#include "replication/record/record_codec.h"
#include "replication/site/state/meta_keys.h"
#include "replication/store/session_token.h"

namespace outrigger {
namespace {

std::vector<Hlc> stamps_of(const std::vector<SettledWrite>& writes, const Origin& self) {
  std::vector<Hlc> stamps;
  stamps.reserve(writes.size());
  for (const SettledWrite& write : writes) {
    if (write.dot.origin == self) stamps.push_back(write.dot.hlc);
  }
  return stamps;
}

}  // namespace

Status LocalWrites::admit() const {
  if (Status room = context_.outbox.admit(); !room) return room;
  return state_.admit();
}

Unsynced LocalWrites::unsynced(std::string_view ns, std::string_view canonical_id) const {
  return state_.unsynced(UnsyncedDocuments::slot_of(ns, canonical_id));
}

Result<UndecidedWrite> LocalWrites::begin(Prepare prepare, StagedWrites& staged) {
  if (Status admitted = admit(); !admitted) return tl::unexpected(admitted.error());
  OpenWrite open;
  open.by_content = !is_numbered(prepare.session);
  open.documents.reserve(prepare.documents.size());
  for (const PreparedDocument& document : prepare.documents) {
    open.documents.push_back(
        UnsyncedDocuments::slot_of(document.ns, bson::canonical_key(document.id.view())));
  }
  auto write = records_.begin(std::move(open));
  if (!write) return tl::unexpected(write.error());
  prepare.hlc = write->hlc;
  prepare.origin = context_.self;
  prepare.deps = write->deps;
  staged.batch_.put_prepare(write->hlc, encode_prepare(prepare));
  write->app = std::move(prepare.app);
  return UndecidedWrite(std::move(*write));
}

Status LocalWrites::settle(UndecidedWrite& write, std::vector<DocumentChange> changes,
                           const std::vector<RetryEntry>& retries, StagedWrites& staged) {
  const LocalWrite& name = write.name();
  const Dot dot{name.hlc, context_.self};
  const Hlc closed = state_.closed_for(name.hlc);
  std::vector<std::string> behind = behind_changed(changes);
  const KeptChanges gone = kept_.gone_by(changes);
  auto settled = records_.make({dot, name.deps, name.app, closed}, std::move(changes), retries);
  if (!settled) return tl::unexpected(settled.error());
  staged.batch_.append(std::move(settled->batch));
  staged.batch_.remove_prepare(name.hlc);
  gone.add_to(staged.batch_);
  staged.kept_.append(gone);
  if (settled->records.empty()) staged.settled_.push_back({dot, 0});
  std::move(settled->records.begin(), settled->records.end(), std::back_inserter(staged.settled_));
  staged.rows_ += settled->rows;
  std::move(settled->detached.begin(), settled->detached.end(),
            std::back_inserter(staged.detached_));
  std::move(behind.begin(), behind.end(), std::back_inserter(staged.detached_));
  std::move(settled->corrections.begin(), settled->corrections.end(),
            std::back_inserter(staged.corrections_));
  write.decided();
  return {};
}

// Parked documents that may come back by this, and measurements that may go.
std::vector<std::string> LocalWrites::behind_changed(
    const std::vector<DocumentChange>& changes) const {
  std::vector<std::string> keys;
  if (aside_.size() == 0 && kept_.empty()) return keys;
  std::set<std::string> entries;
  for (const DocumentChange& change : changes) {
    keys.push_back(outbox::row_key(change.ns, bson::canonical_key(change.id.view())));
    if (change.ns == kCatalogNs) entries.insert(keys.back());
  }
  std::vector<std::string> behind = aside_.behind(keys);
  kept_.touch(keys);
  if (entries.empty()) return behind;
  const std::vector<std::string> measured = aside_.measured_in(entries);
  behind.insert(behind.end(), measured.begin(), measured.end());
  return behind;
}

void LocalWrites::drop(UndecidedWrite& write, const std::vector<RetryEntry>& retries,
                       StagedWrites& staged) {
  put_retries(staged.batch_, retries, context_.clock.wall_ms());
  const Hlc stamp = write.name().hlc;
  staged.batch_.remove_prepare(stamp);
  staged.settled_.push_back({Dot{stamp, context_.self}, 0});
  write.decided();
}

Status LocalWrites::write(StagedWrites&& staged) {
  if (Status written = context_.outbox.write(std::move(staged.batch_)); !written) return written;
  state_.rows_changed(staged.rows_);
  note(staged.corrections_);
  kept_.take(staged.kept_);
  // Not published before that is on disk, dropped or not: recovery would settle a prepare again.
  if (!staged.settled_.empty()) {
    const uint64_t append = state_.settled(staged.settled_);
    leave_to_sync(stamps_of(staged.settled_, context_.self), append);
  }
  const bool is_new = !staged.detached_.empty() && aside_.try_again(staged.detached_);
  if (is_new || kept_.has_reason()) wakers_.wake_for_work();
  return {};
}

Status LocalWrites::settle_earlier(const Prepare& prepare, std::vector<DocumentChange> changes,
                                   const std::vector<RetryEntry>& retries) {
  // Entries of an earlier epoch are closed for good; a new one is opened.
  const Dot dot{prepare.hlc, prepare.origin};
  return settle_now({dot, prepare.deps, prepare.app, kHlcMax}, std::move(changes), retries);
}

Status LocalWrites::record(std::vector<DocumentChange> changes) {
  auto name = records_.begin(OpenWrite());
  if (!name) return tl::unexpected(name.error());
  const Dot dot{name->hlc, context_.self};
  const Hlc closed = state_.closed_for(name->hlc);
  return settle_now({dot, std::move(name->deps), {}, closed}, std::move(changes), {});
}

Status LocalWrites::settle_now(RecordName name, std::vector<DocumentChange> changes,
                               const std::vector<RetryEntry>& retries) {
  const Dot dot = name.dot;
  const KeptChanges gone = kept_.gone_by(changes);
  auto settled = records_.make(std::move(name), std::move(changes), retries);
  if (!settled) {
    if (dot.origin == context_.self) give_up(dot.hlc);
    return tl::unexpected(settled.error());
  }
  if (settled->records.empty() && dot.origin == context_.self) settled->records.push_back({dot, 0});
  settled->batch.remove_prepare(dot.hlc);
  gone.add_to(settled->batch);
  if (Status written = context_.outbox.write(std::move(settled->batch)); !written) return written;
  kept_.take(gone);
  state_.rows_changed(settled->rows);
  note(settled->corrections);
  const uint64_t append = state_.settled(settled->records);
  (void)aside_.try_again(settled->detached);
  std::vector<Hlc> stamps = stamps_of(settled->records, context_.self);
  if (!stamps.empty()) leave_to_sync(std::move(stamps), append);
  return {};
}

BegunRecord::~BegunRecord() {
  if (writes_ != nullptr) writes_->give_up(name_.hlc);
}

Record BegunRecord::record() const {
  Record record;
  record.origin = writes_->context_.self;
  record.hlc = name_.hlc;
  record.deps = name_.deps;
  return record;
}

Status BegunRecord::commit(const Record& record, outbox::Batch batch) {
  return std::exchange(writes_, nullptr)->commit(record, std::move(batch));
}

Result<BegunRecord> LocalWrites::begin_record() {
  auto name = records_.begin(OpenWrite());
  if (!name) return tl::unexpected(name.error());
  return BegunRecord(*this, std::move(*name));
}

Status LocalWrites::commit(const Record& record, outbox::Batch batch) {
  std::string entry = encode_record(record);
  const SettledWrite write{record.dot(), entry.size()};
  batch.put_fresh_entry(record.origin, record.hlc, std::move(entry));
  if (Status written = context_.outbox.write(std::move(batch)); !written) return written;
  const uint64_t append = state_.settled(std::span(&write, 1));
  leave_to_sync({record.hlc}, append);
  return {};
}

void LocalWrites::give_up(Hlc stamp) {
  const SettledWrite write{Dot{stamp, context_.self}, 0};
  const uint64_t append = state_.settled(std::span(&write, 1));
  leave_to_sync({stamp}, append);
}

void LocalWrites::note(std::span<const Correction> corrections) {
  if (corrections.empty()) return;
  corrections_.add(corrections);
  wakers_.wake_for_work();
}

void LocalWrites::leave_to_sync(std::vector<Hlc> stamps, uint64_t append) {
  context_.commit.when_durable_soon(
      [this, owner = owner_, stamps = std::move(stamps), append](const Status& synced) {
        const auto alive = owner.lock();
        if (!alive || !synced) return;  // failed: the stamps go on holding back publication
        if (state_.settled_durably(stamps, append)) wakers_.wake_for_progress();
      });
}

}  // namespace outrigger
