#include "replication/apply/apply_committer.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_intent.h"
#include "replication/apply/apply_unread.h"
#include "replication/merge/row.h"
#include "replication/outbox/cohorts.h"
#include "replication/record/record_codec.h"
#include "replication/site/site_parts.h"
#include "replication/site/state/meta_keys.h"
#include "replication/store/store_errors.h"

namespace outrigger {
namespace {

// The next write is this one.
void add_birth(ApplyIntent& intent, const ApplyDocument::Touch& birth) {
  const auto index = static_cast<uint32_t>(birth.effects - birth.record->documents.data());
  if (!intent.births.empty()) {
    ApplyIntent::Births& last = intent.births.back();
    if (last.record == birth.record->dot() && last.first + last.count == index &&
        last.at + last.count == intent.writes.size()) {
      ++last.count;
      return;
    }
  }
  intent.births.push_back({intent.writes.size(), birth.record->dot(), index, 1});
}

// A record that must be in the log.
Result<Record> logged_record(const outbox::Outbox& outbox, const Dot& dot) {
  auto bytes = outbox.entry(dot.origin, dot.hlc);
  if (!bytes) return tl::unexpected(bytes.error());
  if (*bytes) return decode_record(**bytes);
  return fail(ErrorCode::kCorrupt, "read outbox", to_text(dot),
              "a record that is needed is missing");
}

// The birth and the stranger, as if the one had come to the other.
Status join(const DocumentEffects& effects, const Record& record, const std::string& key,
            const std::string& stranger, ApplyWork& work, ApplyWork& joined) {
  ApplyDocument& document = joined.documents[key];
  document.ns = effects.ns;
  document.id = effects.id;
  document.canonical_id = bson::canonical_key(effects.id.view());
  document.touches.push_back({&record, &effects, 1, true});
  auto merged = merge_document(document, bson::Document(stranger), true);
  if (!merged) return tl::unexpected(merged.error());
  std::vector<const StoreWrite*> writes;
  for (const auto& [position, write] : document.writes) writes.push_back(&write);
  // Whole: should the store forget some of this batch, all of it is written again, and the birth
  // may come first then.
  const auto whole = written(stranger, writes);
  work.intent.writes.push_back(whole_write(effects.ns, effects.id, whole));
  if (!document.met.empty()) work.intent.met.emplace(key, document.met);
  document.touches.clear();  // they do not outlive the record
  return {};
}

}  // namespace

// ---- before the store is written

Status ApplyCommitter::commit_intent(ApplyWork& work) {
  outbox::Batch batch;
  SiteState::Batch done{work.intent.after, work.promised, work.records.size(), {}};
  const auto put_entry = [&](const Record& record) {
    std::string entry = encode_record(record);
    done.log.emplace_back(record.dot(), entry.size());
    batch.put_entry(record.origin, record.hlc, std::move(entry));
  };
  for (const auto& record : work.records) put_entry(*record);
  // Those behind us in a chain are to judge for themselves.
  for (const auto& [record, why] : work.wrong) put_entry(*record);
  std::map<std::string, std::string> set_aside = put_quarantine(work, batch);
  const int64_t rows = put_rows(work, batch);
  const MutexLock deciding(site_.news.deciding());
  auto noted = put_losses(site_, work, batch);
  if (!noted) return tl::unexpected(noted.error());
  const ToldRules rules = put_rules(work, batch);
  batch.put_meta(work.intent_key, encode_intent(work.intent));
  Corrections::put_end(work.settled, batch);
  if (Status written = outbox_.write(std::move(batch)); !written) return written;
  if (Status synced = sync_now(commit_); !synced) return synced;
  if (rules.record != nullptr) {
    site_.rules.take(rules, site_.members.name_of(rules.record->origin.site));
  }
  site_.quarantine.change(work.released, std::move(set_aside));
  if (!work.wrong.empty()) noted->counts[{kQuarantinedKind, "", ""}] += work.wrong.size();
  note(*noted);
  site_.state.rows_changed(rows);
  site_.state.rows_durable(done);
  return {};
}

// It is durable.
void ApplyCommitter::note(const NotedLosses& noted) {
  site_.ledger.count(noted.counts);
  site_.news.owe(noted.owed);
}

// The rules that hold from here on.
ToldRules ApplyCommitter::put_rules(const ApplyWork& work, outbox::Batch& batch) {
  std::vector<std::shared_ptr<const Record>> records = work.records;
  for (const auto& [name, record] : work.released) records.push_back(record);
  ToldRules rules = site_.rules.newest_of(records);
  if (rules.record != nullptr) RulesKeeper::put(batch, rules);
  return rules;
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
  struct Placed {
    size_t position;
    StoreWrite* write;
    const ApplyDocument::Touch* birth;  // of a kInsert
  };
  std::vector<Placed> writes;
  writes.reserve(work.documents.size());
  // Documents that a record gave birth to, by it and their namespace.
  std::map<std::pair<Dot, std::string_view>, outbox::CohortWriter> cohorts;
  auto last = cohorts.end();
  for (auto& [key, document] : work.documents) {
    const auto birth = document.row ? std::nullopt : merge::birth_in_row(document.row_after);
    if (birth) {
      if (last == cohorts.end() || last->first.first != *birth ||
          last->first.second != document.ns) {
        last = cohorts.try_emplace({*birth, document.ns}, document.row_after).first;
      }
      last->second.add(document.canonical_id);
    } else if (!document.row_after.empty()) {
      batch.put_row(document.ns, document.canonical_id, document.row_after);
    } else if (document.row) {
      batch.remove_row(document.ns, document.canonical_id);
    }
    rows += static_cast<int64_t>(merge::counts(document.row_after)) -
            static_cast<int64_t>(document.row && merge::counts(*document.row));
    for (auto& [position, write] : document.writes) {
      const bool is_birth = write.kind == StoreWrite::Kind::kInsert;
      writes.push_back({position, &write, is_birth ? &document.touches.front() : nullptr});
    }
    if (!document.met.empty()) work.intent.met.emplace(key, std::move(document.met));
  }
  for (auto& [of, cohort] : cohorts) batch.put_cohort(of.first, of.second, cohort.take());
  std::stable_sort(writes.begin(), writes.end(),
                   [](const auto& a, const auto& b) { return a.position < b.position; });
  work.intent.writes.reserve(writes.size());
  for (const Placed& placed : writes) {
    if (placed.birth != nullptr) add_birth(work.intent, *placed.birth);
    work.intent.writes.push_back(std::move(*placed.write));
  }
  for (auto& [key, document] : work.documents) document.writes.clear();
  return rows;
}

// The row of the birth is there already.
Status ApplyCommitter::commit_joined(const ApplyWork& work, const ApplyWork& joined) {
  outbox::Batch batch;
  int64_t rows = 0;
  for (const auto& [key, document] : joined.documents) {
    if (document.row_after.empty()) {
      batch.remove_row(document.ns, document.canonical_id);
      --rows;
    } else {
      batch.put_row(document.ns, document.canonical_id, document.row_after);
    }
  }
  auto noted = put_losses(site_, joined, batch);
  if (!noted) return tl::unexpected(noted.error());
  batch.put_meta(work.intent_key, encode_intent(work.intent));
  if (Status written = outbox_.write(std::move(batch)); !written) return written;
  if (Status synced = sync_now(commit_); !synced) return synced;
  note(*noted);
  site_.state.rows_changed(rows);
  return {};
}

Status ApplyCommitter::join_strangers(ApplyWork& work) {
  ApplyWork joined;
  const size_t writes = work.intent.writes.size();
  Status done;
  for (const ApplyIntent::Births& births : work.intent.births) {
    std::vector<std::pair<std::string, uint32_t>> met;
    for (uint32_t i = 0; i < births.count; ++i) {
      std::string key = row_key_of(work.intent.writes[births.at + i]);
      if (work.progress.outcomes.strangers.count(key) > 0) met.emplace_back(std::move(key), i);
    }
    if (met.empty()) continue;
    auto record = logged_record(outbox_, births.record);
    if (!record) done = tl::unexpected(record.error());
    for (const auto& [key, i] : met) {
      if (!done) break;
      done = join(record->documents[births.first + i], *record, key,
                  work.progress.outcomes.strangers.at(key), work, joined);
    }
    if (!done) break;
  }
  if (done) done = commit_joined(work, joined);
  if (!done) {
    work.intent.writes.resize(writes);
    return done;
  }
  work.progress.outcomes.strangers.clear();
  work.progress.is_stored = false;
  return {};
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
  if (Status read = read_births(work->intent); !read) return tl::unexpected(read.error());
  return work;
}

Status ApplyCommitter::read_births(ApplyIntent& intent) const {
  std::optional<Record> record;  // the last one: births of one often are several stretches
  for (const ApplyIntent::Births& births : intent.births) {
    if (!record || record->dot() != births.record) {
      auto read = logged_record(outbox_, births.record);
      if (!read) return tl::unexpected(read.error());
      record = std::move(*read);
    }
    for (uint32_t i = 0; i < births.count; ++i) {
      const size_t index = size_t{births.first} + i;
      const auto& documents = record->documents;
      if (index >= documents.size() || documents[index].effects.size() != 1) {
        return fail(ErrorCode::kCorrupt, "read apply intent", to_text(births.record),
                    "the record bears no such document");
      }
      intent.writes[births.at + i] = birth_write(documents[index]);
    }
  }
  return {};
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
  if (site_.aside.size() > 0 || !site_.kept.empty() || !refusals.empty()) {
    for (const auto& [key, document] : work.documents) keys.insert(key);
    for (const StoreWrite& write : work.intent.writes) keys.insert(row_key_of(write));
  }
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
      if (Status closed = close_aside(outbox_, site_.ledger, batch, before->ledger_key); !closed) {
        return closed;
      }
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
  (void)site_.aside.try_again(site_.aside.behind({keys.begin(), keys.end()}));
  (void)site_.aside.try_again(site_.aside.measured_in(keys));
  site_.kept.touch({keys.begin(), keys.end()});
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
  // What is parked already keeps its entry; who is to have the key is decided after the batch.
  const bool has_met_key = refusal.document && !unique_index_of(refusal.outcome).empty();
  const bool stays_parked = has_met_key && before && is_parked(*before);
  const LedgerEntry entry = (has_met_key ? refused_key_entry : not_applied_entry)(
      refusal.ns, refusal.id, refusal.document,
      missing ? "the document to update was removed from the store around the sidecar"
              : "the store refused it with " + std::to_string(refusal.outcome.code) + ": " +
                    refusal.outcome.message,
      aside.since_ms);
  if (stays_parked) {
    aside.ledger_key = before->ledger_key;
  } else if (has_met_key) {
    site_.ledger.put(batch, ledger_key(entry), entry, 0);
  } else if (Status noted = put_once(outbox_, site_.ledger, batch, entry); !noted) {
    return tl::unexpected(noted.error());
  }
  if (!again && !has_met_key && options_.warn) {
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
  if (!*row || !merge::counts(**row)) site_.state.rows_changed(1);
  if (aside.ledger_key.empty()) aside.ledger_key = ledger_key(entry);
  batch.put_meta(meta_keys::kDetached + row_key, encode_aside(aside));
  return std::optional(std::move(aside));
}

// What validators would have said of documents that are stored now.
Status ApplyCommitter::note_validators(const ApplyWork& work, outbox::Batch& batch) {
  const auto& validator_says = work.progress.outcomes.validator_says;
  if (validator_says.empty()) return {};
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
