#include "replication/apply/apply_committer.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_intent.h"
#include "replication/apply/apply_notes.h"
#include "replication/merge/row.h"
#include "replication/outbox/cohorts.h"
#include "replication/record/record_codec.h"
#include "replication/site/site_parts.h"
#include "replication/site/state/meta_keys.h"
#include "replication/store/store_errors.h"

namespace outrigger {

// ---- before the store is written

Status ApplyCommitter::commit_intent(ApplyWork& work) {
  outbox::Batch batch;
  SiteState::Batch done{work.intent.after, work.promised, work.records.size(), {}};
  const auto put_entry = [&](const Record& record) {
    const std::string entry = encode_record(record);
    batch.put_entry(record.origin, record.hlc, entry);
    done.log.emplace_back(record.dot(), entry.size());
  };
  for (const auto& record : work.records) put_entry(*record);
  // Those behind us in a chain are to judge for themselves.
  for (const auto& [record, why] : work.wrong) put_entry(*record);
  std::map<std::string, std::string> set_aside = put_quarantine(work, batch);
  const int64_t rows = put_rows(work, batch);
  auto conflicts = put_losses(work, batch);
  if (!conflicts) return tl::unexpected(conflicts.error());
  batch.put_meta(work.intent_key, encode_intent(work.intent));
  if (Status written = outbox_.write(std::move(batch)); !written) return written;
  if (Status synced = sync_now(commit_); !synced) return synced;
  site_.quarantine.change(work.released, std::move(set_aside));
  if (!work.wrong.empty()) (*conflicts)[kQuarantinedKind] += work.wrong.size();
  site_.ledger.count(*conflicts);
  site_.state.rows_changed(rows);
  site_.state.rows_durable(done);
  return {};
}

// What records are set aside or come back from there, but for what that changes in memory.
std::map<std::string, std::string> ApplyCommitter::put_quarantine(const ApplyWork& work,
                                                                  outbox::Batch& batch) {
  std::map<std::string, std::string> set_aside;
  for (const auto& [record, why] : work.wrong) {
    const LedgerEntry entry = quarantined_entry(*record, why, site_.context.clock.wall_ms());
    const std::string key = ledger_key(entry);
    const std::string name = record_name(record->dot());
    site_.ledger.put(batch, key, entry, 0);
    batch.put_meta(meta_keys::kQuarantined + name, key);
    set_aside.emplace(name, key);
    if (options_.warn) options_.warn("set aside the record " + name + ": " + why);
  }
  for (const auto& [name, record] : work.released) {
    batch.remove_meta(meta_keys::kQuarantined + name);
    batch.remove_ledger(ledger_key(quarantined_entry(*record, "", 0)));
  }
  return set_aside;
}

// What merging made of each document: its row, and what the store is to do, in order. Returns how
// many rows more there are than before.
int64_t ApplyCommitter::put_rows(ApplyWork& work, outbox::Batch& batch) {
  int64_t rows = 0;
  std::vector<std::pair<size_t, StoreWrite>> writes;
  // Documents that a record gave birth to, by it and their namespace.
  std::map<std::pair<Dot, std::string_view>, outbox::CohortWriter> cohorts;
  for (auto& [key, document] : work.documents) {
    const auto birth = document.row ? std::nullopt : merge::birth_in_row(document.row_after);
    if (birth) {
      cohorts.try_emplace({*birth, document.ns}, document.row_after)
          .first->second.add(document.canonical_id);
    } else if (!document.row_after.empty()) {
      batch.put_row(document.ns, document.canonical_id, document.row_after);
    } else if (document.row) {
      batch.remove_row(document.ns, document.canonical_id);
    }
    rows += static_cast<int64_t>(!document.row_after.empty()) -
            static_cast<int64_t>(document.row.has_value());
    std::move(document.writes.begin(), document.writes.end(), std::back_inserter(writes));
    document.writes.clear();
    if (!document.met.empty()) work.intent.met.emplace(key, std::move(document.met));
  }
  for (auto& [of, cohort] : cohorts) batch.put_cohort(of.first, of.second, cohort.take());
  std::stable_sort(writes.begin(), writes.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [position, write] : writes) work.intent.writes.push_back(std::move(write));
  return rows;
}

// Losses not in the ledger yet, counted by kind.
Result<std::map<std::string, uint64_t>> ApplyCommitter::put_losses(const ApplyWork& work,
                                                                   outbox::Batch& batch) {
  std::map<std::string, const LedgerEntry*> lost;
  for (const auto& [row_key, document] : work.documents) {
    for (const LedgerEntry& entry : document.lost) lost.emplace(ledger_key(entry), &entry);
  }
  std::map<std::string, uint64_t> conflicts;
  for (const auto& [key, entry] : lost) {
    auto known = outbox_.ledger(key);
    if (!known) return tl::unexpected(known.error());
    if (*known) continue;
    site_.ledger.put(batch, key, *entry, 0);
    ++conflicts[entry->kind];
  }
  return conflicts;
}

// ---- after that

Result<std::optional<ApplyWork>> ApplyCommitter::interrupted(const char* intent_key) {
  auto bytes = outbox_.meta(intent_key);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return std::optional<ApplyWork>();
  auto intent = decode_intent(**bytes);
  if (!intent) return tl::unexpected(intent.error());
  site_.state.observe(intent->after);
  std::optional<ApplyWork> work(std::in_place);
  work->intent_key = intent_key;
  work->intent = std::move(*intent);
  return work;
}

// Not synced: should this be lost, the intent is still there and leads here again.
Status ApplyCommitter::complete(const ApplyWork& work) {
  const auto& refusals = work.progress.outcomes.set_aside;
  outbox::Batch batch;
  for (const auto& [origin, hlc] : work.intent.after.entries()) {
    batch.put_meta(meta_keys::of_origin(meta_keys::kVector, origin), outbox::sortable(hlc));
  }
  batch.remove_meta(work.intent_key);
  std::set<std::string> keys;
  for (const auto& [key, document] : work.documents) keys.insert(key);
  for (const StoreWrite& write : work.intent.writes) keys.insert(row_key_of(write));
  std::map<std::string, Aside> aside;
  for (const std::string& key : keys) {
    const auto refusal = refusals.find(key);
    const std::optional<Aside> before = site_.aside.find(key);
    std::optional<Aside> now;
    if (refusal != refusals.end()) {
      const auto met = work.intent.met.find(key);
      auto kept = set_aside(batch, key, refusal->second,
                            met == work.intent.met.end() ? Met() : met->second, before);
      if (!kept) return tl::unexpected(kept.error());
      now = std::move(*kept);
    }
    if (before && (!now || now->ledger_key != before->ledger_key)) {
      batch.remove_ledger(before->ledger_key);
    }
    if (before && !now) {
      batch.remove_meta(meta_keys::kDetached + key);
      if (store_error_is_about_rights(before->code)) {
        calm_forbidden(site_.alarms, key.substr(0, key.find('\0')));
      }
    }
    if (now) aside.emplace(key, std::move(*now));
  }
  if (Status noted = note_validators(work, batch); !noted) return noted;
  if (Status written = outbox_.write(std::move(batch)); !written) return written;
  site_.aside.replace(keys, std::move(aside));
  site_.state.stored(work.intent.after, work.records);
  return {};
}

// Nothing for what is only told, not tried again. A document refused as `before` keeps its entry.
Result<std::optional<Aside>> ApplyCommitter::set_aside(outbox::Batch& batch,
                                                       const std::string& row_key,
                                                       const ApplyRefusal& refusal, const Met& met,
                                                       const std::optional<Aside>& before) {
  const bool missing = refusal.outcome.kind == WriteOutcome::Kind::kNotMatched;
  const bool again = before && before->code == refusal.outcome.code;
  Aside aside;
  aside.since_ms = again ? before->since_ms : site_.context.clock.wall_ms();
  aside.code = refusal.outcome.code;
  if (before) aside.met = before->met;
  aside.met.insert(met.begin(), met.end());
  const LedgerEntry entry = not_applied_entry(
      refusal.ns, refusal.id, refusal.document,
      missing ? "the document to update was removed from the store around the sidecar"
              : "the store refused it with " + std::to_string(refusal.outcome.code) + ": " +
                    refusal.outcome.message,
      aside.since_ms);
  if (Status noted = put_once(outbox_, site_.ledger, batch, entry); !noted) {
    return tl::unexpected(noted.error());
  }
  if (!again && options_.warn) {
    options_.warn("set aside " + refusal.ns + " " + bson::to_json(refusal.id.view(), 100) + ": " +
                  entry.reason);
  }
  if (store_error_is_about_rights(aside.code)) {
    say_forbidden(site_.alarms, refusal.ns, refusal.outcome.message);
  }
  if (missing) return std::optional<Aside>();
  const std::string canonical = bson::canonical_key(refusal.id.view());
  auto row = outbox_.row(refusal.ns, canonical);
  if (!row) return tl::unexpected(row.error());
  auto kept = detached_row(*row ? std::string_view(**row) : std::string_view(), refusal.document);
  if (!kept) return tl::unexpected(kept.error());
  batch.put_row(refusal.ns, canonical, *kept);
  if (!*row) site_.state.rows_changed(1);
  aside.ledger_key = ledger_key(entry);
  batch.put_meta(meta_keys::kDetached + row_key, encode_aside(aside));
  return std::optional(std::move(aside));
}

// What validators would have said of documents that are stored now.
Status ApplyCommitter::note_validators(const ApplyWork& work, outbox::Batch& batch) {
  const auto& validator_says = work.progress.outcomes.validator_says;
  std::set<std::string> noted_keys;
  for (const auto& write : work.intent.writes) {
    const auto says = validator_says.find(row_key_of(write));
    if (says == validator_says.end() || !noted_keys.insert(says->first).second) continue;
    Dot newest;
    const auto document = work.documents.find(says->first);
    if (document != work.documents.end() && !document->second.touches.empty()) {
      newest = document->second.touches.back().record->dot();
    }
    const LedgerEntry entry =
        validator_entry(write.ns, write.id, newest, says->second, site_.context.clock.wall_ms());
    if (Status noted = put_once(outbox_, site_.ledger, batch, entry); !noted) return noted;
  }
  return {};
}

}  // namespace outrigger
