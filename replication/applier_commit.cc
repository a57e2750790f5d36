// The three steps of a batch: rows and intent, the store, the durable vector. And their replay.
#include <algorithm>

#include "replication/applier_work.h"
#include "replication/record_codec.h"
#include "replication/replica_impl.h"

namespace outrigger {
namespace {

bool says_too_specific(const StoreWrite& write, const WriteOutcome& outcome) {
  constexpr int32_t kValidator = 121;
  constexpr int32_t kDuplicate = 11000;
  return write.kind == StoreWrite::Kind::kUpdate &&
         (outcome.kind == WriteOutcome::Kind::kNotMatched ||
          (outcome.code != kValidator && outcome.code != kDuplicate));
}

}  // namespace

// What merging made of each document: its row, and what (2) is to do. Returns how many rows more
// there are than before.
Result<int64_t> Applier::merge_into(Work& work, outbox::Batch& batch) {
  std::map<std::string, std::string> detached;
  {
    const std::lock_guard guard(replica_.impl_->mutex);
    detached = replica_.impl_->detached;
  }
  int64_t rows = 0;
  for (auto& [key, document] : work.documents) {
    if (Status merged = merge_document(document); !merged) return tl::unexpected(merged.error());
    if (!document.row_after.empty()) {
      batch.put_row(document.ns, document.canonical_id, document.row_after);
    } else if (document.row) {
      batch.remove_row(document.ns, document.canonical_id);
    }
    rows += static_cast<int64_t>(!document.row_after.empty()) -
            static_cast<int64_t>(document.row.has_value());
    auto write = write_between(document.ns, document.id, document.stored, document.wanted);
    if (!write && detached.count(key) == 0) continue;
    if (write) {
      work.intended.push_back(work.intent.documents.size());
      work.writes.push_back(std::move(*write));
    }
    work.intent.documents.push_back({document.ns, document.id, document.wanted});
  }
  return rows;
}

// Losses not in the ledger yet, counted by kind.
Result<std::map<std::string, uint64_t>> Applier::put_losses(const Work& work,
                                                            outbox::Batch& batch) {
  Replica::Impl& impl = *replica_.impl_;
  std::map<std::string, const LedgerEntry*> lost;
  for (const auto& [row_key, document] : work.documents) {
    for (const LedgerEntry& entry : document.lost) lost.emplace(ledger_key(entry), &entry);
  }
  std::map<std::string, uint64_t> conflicts;
  for (const auto& [key, entry] : lost) {
    auto known = log_.ledger(key);
    if (!known) return tl::unexpected(known.error());
    if (*known) continue;
    batch.put_ledger(key, encode_ledger(*entry));
    ++conflicts[entry->kind];
    ++impl.ledger_entries;
  }
  if (!conflicts.empty()) {
    batch.put_meta(meta_keys::kLedgerCount, outbox::sortable(impl.ledger_entries));
  }
  return conflicts;
}

std::map<std::string, std::string> Applier::put_quarantine(const Work& work, outbox::Batch& batch) {
  Replica::Impl& impl = *replica_.impl_;
  std::map<std::string, std::string> set_aside;
  for (const auto& [record, why] : work.wrong) {
    const LedgerEntry entry = quarantined_entry(*record, why, impl.clock.wall_ms());
    const std::string key = ledger_key(entry);
    const std::string name = record_name(record->dot());
    batch.put_ledger(key, encode_ledger(entry));
    batch.put_meta(meta_keys::kQuarantined + name, key);
    set_aside.emplace(name, key);
    ++impl.ledger_entries;
    if (options_.warn) options_.warn("set aside the record " + name + ": " + why);
  }
  for (const auto& [name, record] : work.released) {
    batch.remove_meta(meta_keys::kQuarantined + name);
    batch.remove_ledger(ledger_key(quarantined_entry(*record, "", 0)));
    if (impl.ledger_entries > 0) --impl.ledger_entries;
  }
  if (!work.wrong.empty() || !work.released.empty()) {
    batch.put_meta(meta_keys::kLedgerCount, outbox::sortable(impl.ledger_entries));
  }
  return set_aside;
}

// (1) Everything but the store's own data.
Status Applier::commit_intent(Work& work) {
  Replica::Impl& impl = *replica_.impl_;
  outbox::Batch batch;
  Hlc newest = 0;
  std::vector<std::pair<const Record*, size_t>> sizes;
  const auto put_entry = [&](const Record& record) {
    const std::string entry = encode_record(record);
    batch.put_entry(record.origin, record.hlc, entry);
    sizes.emplace_back(&record, entry.size());
    newest = std::max(newest, record.hlc);
  };
  for (const auto& record : work.records) put_entry(*record);
  // Those behind us in a chain are to judge for themselves.
  for (const auto& [record, why] : work.wrong) put_entry(*record);
  std::map<std::string, std::string> set_aside = put_quarantine(work, batch);
  auto rows = merge_into(work, batch);
  if (!rows) return tl::unexpected(rows.error());
  auto conflicts = put_losses(work, batch);
  if (!conflicts) return tl::unexpected(conflicts.error());
  batch.put_meta(meta_keys::kIntent, encode_intent(work.intent));
  if (Status written = log_.write(std::move(batch)); !written) return written;
  if (Status synced = sync_now(commit_); !synced) return synced;
  impl.rows += *rows;
  const std::lock_guard guard(impl.mutex);
  // In one piece with the vector: who sees these effects and writes gets a later stamp.
  impl.hlc.observe(newest);
  impl.cited.raise(work.intent.after);
  impl.inbox.drop_applied(impl.cited, work.promised);
  impl.applied_records += work.records.size();
  for (const auto& [name, record] : work.released) impl.quarantined.erase(name);
  impl.quarantined.merge(set_aside);
  if (!work.wrong.empty()) impl.conflicts[kQuarantinedKind] += work.wrong.size();
  for (const auto& [record, bytes] : sizes) impl.mark_log(record->origin, record->hlc, bytes);
  for (const auto& [kind, count] : *conflicts) impl.conflicts[kind] += count;
  return {};
}

Result<StepOutcome> Applier::finish() {
  if (Status stored = write_store(); !stored) return trouble(stored.error());
  if (Status completed = complete(); !completed) return tl::unexpected(completed.error());
  const std::vector<Inbox::Promised> promised = std::move(under_way_->promised);
  under_way_.reset();
  locks_.release();
  (void)take_promises(promised);
  {
    const std::lock_guard guard(replica_.impl_->mutex);
    replica_.impl_->apply_trouble.clear();
  }
  replica_.impl_->wake();
  return StepOutcome::kApplied;
}

// (2) Repeated from the top after an error: the writes are absolute.
Status Applier::write_store() {
  Work& work = *under_way_;
  while (!work.writes.empty()) {
    auto outcomes = store_.apply(work.writes);
    if (!outcomes) return tl::unexpected(outcomes.error());
    std::vector<StoreWrite> again;
    std::vector<size_t> again_intended;
    for (size_t i = 0; i < work.writes.size(); ++i) {
      const WriteOutcome& outcome = (*outcomes)[i];
      if (outcome.ok()) continue;
      const size_t place = work.intended[i];
      const IntendedDocument& document = work.intent.documents[place];
      if (says_too_specific(work.writes[i], outcome)) {
        // The document is not as it was read, or a path did not mean what we thought: all of it.
        again.push_back(whole_write(document.ns, work.writes[i].id, document.document));
        again_intended.push_back(place);
      } else {
        work.refused.emplace_back(place, outcome);
      }
    }
    work.writes = std::move(again);
    work.intended = std::move(again_intended);
  }
  return {};
}

// (3) Not synced: should this be lost, the intent is still there and leads here again.
Status Applier::complete() {
  Replica::Impl& impl = *replica_.impl_;
  Work& work = *under_way_;
  outbox::Batch batch;
  for (const auto& [origin, hlc] : work.intent.after.entries()) {
    batch.put_meta(meta_keys::of_origin(meta_keys::kVector, origin), outbox::sortable(hlc));
  }
  batch.remove_meta(meta_keys::kIntent);
  std::map<std::string, WriteOutcome> refused;
  for (auto& [place, outcome] : work.refused) {
    const IntendedDocument& document = work.intent.documents[place];
    refused.emplace(outbox::row_key(document.ns, bson::canonical_key(document.id.view())),
                    std::move(outcome));
  }
  std::map<std::string, std::string> detached;
  {
    const std::lock_guard guard(impl.mutex);
    detached = impl.detached;
  }
  for (const IntendedDocument& document : work.intent.documents) {
    const std::string key = outbox::row_key(document.ns, bson::canonical_key(document.id.view()));
    const auto before = detached.find(key);
    const auto refusal = refused.find(key);
    if (before != detached.end()) {
      batch.remove_ledger(before->second);
      if (impl.ledger_entries > 0) --impl.ledger_entries;
      detached.erase(before);
      batch.remove_meta(meta_keys::kDetached + key);
    }
    if (refusal == refused.end() || !document.document) continue;
    std::string ledger;
    if (Status aside = set_aside(batch, document, refusal->second, &ledger); !aside) return aside;
    batch.put_meta(meta_keys::kDetached + key, ledger);
    detached.emplace(key, std::move(ledger));
  }
  batch.put_meta(meta_keys::kLedgerCount, outbox::sortable(impl.ledger_entries));
  if (Status written = log_.write(std::move(batch)); !written) return written;
  const std::lock_guard guard(impl.mutex);
  impl.detached = std::move(detached);
  impl.durable.raise(work.intent.after);
  impl.cited.raise(work.intent.after);
  for (const auto& record : work.records) {
    if (!record->retired.empty()) impl.retired(record->retired, watermark_of(*record));
  }
  return {};
}

Status Applier::set_aside(outbox::Batch& batch, const IntendedDocument& document,
                          const WriteOutcome& refusal, std::string* key) {
  const std::string canonical = bson::canonical_key(document.id.view());
  auto row = log_.row(document.ns, canonical);
  if (!row) return tl::unexpected(row.error());
  auto kept = detached_row(*row ? std::string_view(**row) : std::string_view(), *document.document);
  if (!kept) return tl::unexpected(kept.error());
  batch.put_row(document.ns, canonical, *kept);
  Replica::Impl& impl = *replica_.impl_;
  if (!*row) ++impl.rows;
  const LedgerEntry entry = not_applied_entry(
      document.ns, document.id, *document.document,
      "the store refused it with " + std::to_string(refusal.code) + ": " + refusal.message,
      impl.clock.wall_ms());
  *key = ledger_key(entry);
  batch.put_ledger(*key, encode_ledger(entry));
  ++impl.ledger_entries;
  if (options_.warn) {
    options_.warn("set aside " + document.ns + " " + bson::to_json(document.id.view(), 100) + ": " +
                  entry.reason);
  }
  const std::lock_guard guard(impl.mutex);
  ++impl.conflicts[kNotApplied];
  return {};
}

Status Applier::replay_interrupted() {
  OUTRIGGER_ASSERT(!under_way_);
  auto bytes = log_.meta(meta_keys::kIntent);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return {};
  auto intent = decode_intent(**bytes);
  if (!intent) return tl::unexpected(intent.error());
  under_way_ = std::make_unique<Work>();
  under_way_->intent = std::move(*intent);
  for (size_t i = 0; i < under_way_->intent.documents.size(); ++i) {
    const IntendedDocument& document = under_way_->intent.documents[i];
    under_way_->writes.push_back(whole_write(document.ns, document.id, document.document));
    under_way_->intended.push_back(i);
  }
  {
    Replica::Impl& impl = *replica_.impl_;
    const std::lock_guard guard(impl.mutex);
    for (const auto& [origin, hlc] : under_way_->intent.after.entries()) impl.hlc.observe(hlc);
  }
  Status done = write_store();
  if (done) done = complete();
  under_way_.reset();
  return done;
}

}  // namespace outrigger
