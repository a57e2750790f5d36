#include "replication/apply/aside_resolver.h"

#include <algorithm>
#include <span>
#include <utility>

#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_notes.h"
#include "replication/record/catalog.h"
#include "replication/site/site_parts.h"
#include "replication/site/state/meta_keys.h"
#include "replication/store/store_errors.h"

namespace outrigger {

// How long this site leaves it to others: the first in the list of members begins.
int64_t AsideResolver::patience_ms() const {
  std::vector<std::string> members = site_.context.options.members;
  std::sort(members.begin(), members.end());
  const auto self =
      std::find(members.begin(), members.end(), site_.context.options.site) - members.begin();
  return options_.resolve_after.count() * (self + 1);
}

Status AsideResolver::step() {
  const int64_t due_ms = site_.context.clock.wall_ms() - patience_ms();
  for (const auto& [key, aside] : site_.aside.unresolved(due_ms, options_.try_aside_documents)) {
    auto bytes = outbox_.ledger(aside.ledger_key);
    if (!bytes) return tl::unexpected(bytes.error());
    if (!*bytes) continue;
    auto entry = decode_ledger(**bytes);
    if (!entry) return tl::unexpected(entry.error());
    // What one store cannot make of a collection is no reason for others to be without it.
    if (entry->ns == kCatalogNs) continue;
    if (!locks_.take(entry->ns, entry->id.view())) continue;
    const Status resolved = resolve(key, aside, *entry);
    locks_.release();
    if (!resolved) return resolved;
  }
  return {};
}

// One document, under its lock.
Status AsideResolver::resolve(const std::string& row_key, const Aside& aside,
                              const LedgerEntry& entry) {
  const std::string canonical = bson::canonical_key(entry.id.view());
  auto row = outbox_.row(entry.ns, canonical);
  if (!row) return tl::unexpected(row.error());
  if (!*row) return {};
  auto stored = store_.read(entry.ns, std::span(&entry.id, 1));
  if (!stored && stored.error().code == ErrorCode::kInvalidArgument) return {};  // nor can one be
  if (!stored) return tl::unexpected(stored.error());
  auto parts = merged_parts(**row, entry.ns, entry.id, stored->front());
  if (!parts) return tl::unexpected(parts.error());
  if (!*parts) return {};
  auto tried = try_parts(**parts, aside, entry);
  if (!tried || !*tried) return tried ? Status() : tl::unexpected(tried.error());
  if ((*tried)->left_out.empty()) {  // it takes everything now
    (void)site_.aside.try_again({row_key});
    return {};
  }
  return commit_resolution(row_key, aside, entry, **row, **tried);
}

// Nothing: it must not be resolved, or not now.
Result<std::optional<AsideResolver::Resolution>> AsideResolver::try_parts(
    const MergedParts& parts, const Aside& aside, const LedgerEntry& entry) {
  Resolution resolution{parts.base, {}};
  const auto store = [&](const std::string& document) -> Result<WriteOutcome> {
    const StoreWrite write = whole_write(entry.ns, entry.id, document);
    auto outcomes = store_.apply(std::span(&write, 1));
    if (!outcomes) return tl::unexpected(outcomes.error());
    return std::move(outcomes->front());
  };
  for (const MergedParts::Part& part : parts.parts) {
    const std::vector<const StoreWrite*> write{&part.write};
    const std::string with = written(resolution.document, write).value_or(resolution.document);
    auto taken = store(with);
    if (!taken) return tl::unexpected(taken.error());
    if (taken->ok()) {
      resolution.document = with;
    } else if (may_leave_out(part, parts, aside.met, taken->message)) {
      resolution.left_out.push_back(part);
    } else {
      return std::optional<Resolution>();
    }
  }
  // What the store holds now is what was taken last; the increments alone may not be in it yet.
  auto taken = store(resolution.document);
  if (!taken) return tl::unexpected(taken.error());
  return taken->ok() ? std::optional(std::move(resolution)) : std::nullopt;
}

Status AsideResolver::commit_resolution(const std::string& row_key, const Aside& aside,
                                        const LedgerEntry& entry, const std::string& row,
                                        const Resolution& resolution) {
  auto effects = replacing_effects(row, entry.ns, entry.id, resolution.document);
  if (!effects) return tl::unexpected(effects.error());
  auto begun = site_.writes.begin_record();
  if (!begun) return tl::unexpected(begun.error());
  Record record = begun->record();
  record.documents.push_back(*effects);
  auto after = row_after_replacing(row, record, *effects, resolution.document);
  if (!after || !*after) return after ? Status() : tl::unexpected(after.error());
  outbox::Batch batch;
  const std::string canonical = bson::canonical_key(entry.id.view());
  batch.put_row(entry.ns, canonical, **after);
  batch.remove_ledger(aside.ledger_key);
  batch.remove_meta(meta_keys::kDetached + row_key);
  for (const MergedParts::Part& part : resolution.left_out) {
    for (const LedgerEntry& lost : left_out_entries(part, record.dot(), entry.reason)) {
      if (Status noted = put_once(outbox_, site_.ledger, batch, lost); !noted) return noted;
    }
  }
  if (Status committed = begun->commit(record, std::move(batch)); !committed) return committed;
  if (options_.warn) {
    options_.warn("resolved " + entry.ns + " " + bson::to_json(entry.id.view(), 100) +
                  ": what was written apart cannot stand together here, some of it is left out "
                  "and open in the ledger (" +
                  entry.reason + ")");
  }
  site_.aside.remove(row_key);
  return {};
}

}  // namespace outrigger
