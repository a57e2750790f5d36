#include "replication/apply/apply_notes.h"

#include <map>
#include <utility>

#include "config/limits.h"
#include "replication/outbox/writer_apps.h"

namespace outrigger {
namespace {

std::string about(const std::string& ns) { return "rights on " + ns; }

}  // namespace

Status put_once(const outbox::Outbox& outbox, LedgerKeeper& ledger, outbox::Batch& batch,
                const LedgerEntry& entry) {
  const std::string key = ledger_key(entry);
  auto known = outbox.ledger(key);
  if (!known) return tl::unexpected(known.error());
  ledger.put(batch, key, entry, *known ? 0 : 1);
  return {};
}

Result<NotedLosses> put_losses(SiteParts& site, const ApplyWork& work, outbox::Batch& batch) {
  std::vector<std::shared_ptr<const Record>> records = work.records;
  for (const auto& [name, record] : work.released) records.push_back(record);
  const HeardNews heard = site.news.heard(records);
  std::map<std::string, const LedgerEntry*> lost;
  for (const auto& [row_key, document] : work.documents) {
    for (const LedgerEntry& entry : document.lost) lost.emplace(ledger_key(entry), &entry);
  }
  for (const auto& [key, entry] : heard.lost) lost.emplace(key, &entry);
  if (Status put = site.news.put_decisions(batch, heard); !put) return tl::unexpected(put.error());
  const outbox::Outbox& outbox = site.context.outbox;
  NotedLosses noted;
  WriterApps apps(outbox);
  for (const auto& record : work.records) apps.add(record->dot(), record->app);
  for (const auto& [key, entry] : lost) {
    auto known = outbox.ledger(key);
    if (!known) return tl::unexpected(known.error());
    if (*known) continue;
    auto named = apps.named(*entry);
    if (!named) return tl::unexpected(named.error());
    heard.decide(*named);
    site.ledger.put(batch, key, std::move(*named), 0);
    ++noted.counts[site.ledger.counts_as(*entry)];
    if (!site.news.is_owed(*entry)) continue;
    LossNews::put_owed(batch, key);
    noted.owed.push_back(key);
  }
  return noted;
}

LedgerEntry missing_entry(const std::string& ns, const bson::OwnedValue& id, int64_t wall_ms) {
  LedgerEntry entry;
  entry.ns = ns;
  entry.id = id;
  entry.kind = kMissing;
  entry.shape = Shape::kAbsent;
  entry.time_ms = wall_ms;
  entry.reason =
      "the store lacked this document when a sum in it was to be put right: somebody deleted it "
      "around the sidecar; it is left so, at this site alone";
  return entry;
}

Status close_aside(const outbox::Outbox& outbox, LedgerKeeper& ledger, outbox::Batch& batch,
                   const std::string& ledger_key) {
  std::optional<LedgerEntry> entry;
  if (is_of_kind(ledger_key, kUnique)) {
    auto bytes = outbox.ledger(ledger_key);
    if (!bytes) return tl::unexpected(bytes.error());
    auto known = *bytes ? decode_ledger(**bytes) : LedgerEntry();
    if (!known) return tl::unexpected(known.error());
    if (!known->loser.is_zero()) entry = std::move(*known);
  }
  if (!entry) {
    batch.remove_ledger(ledger_key);
    return {};
  }
  entry->open = false;
  entry->mark = LedgerMark::kResolved;
  ledger.put(batch, ledger_key, *entry, 0);
  return {};
}

void note_held(Alarms& alarms, const std::vector<Origin>& refused,
               const std::vector<Origin>& overfull) {
  std::vector<std::string> held;
  for (const Origin& origin : overfull) {
    held.push_back(to_text(origin) + ": its next record may not be applied, and " +
                   std::to_string(limits::kQuarantinedMax) + " others are set aside already");
  }
  for (const Origin& origin : refused) {
    held.push_back(to_text(origin) + ": its next record changes a document that is locked here");
  }
  alarms.set_held(std::move(held));
}

Error refused_to_read(Store& store, const std::string& ns, Error error) {
  if (error.code != ErrorCode::kRefused) return error;
  auto forbidden = store.forbidden(ns);
  if (!forbidden || forbidden->empty()) return error;
  error.reason = kLacksRights + *forbidden + ": " + error.reason;
  error.hint = "grant it: until then nothing can be merged there, and what other sites wrote waits";
  return error;
}

void say_forbidden(Alarms& alarms, const std::string& ns, const std::string& why) {
  alarms.raise(about(ns), why + ": what other sites write to " + ns +
                              " is set aside, and tried again once it is granted");
}

void calm_forbidden(Alarms& alarms, const std::string& ns) { alarms.calm(about(ns)); }

}  // namespace outrigger
