#include "replication/kept/kept_entries.h"

#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/merge/claims/claim.h"
#include "replication/merge/row.h"

namespace outrigger {
namespace {

using bson::Document;

std::string canonical_id(const Document& document) {
  const auto id = document.find("_id");
  return id ? bson::canonical_key(*id) : std::string();
}

// What it has in the fields of the index.
std::string keys_of(const Document& document, const RelaxedIndex& index) {
  bson::Writer out;
  bson::PathFinder finder(document);
  const auto key = Document(index.spec).find("key");
  if (!key || key->type != bson::Type::kDocument) return out.finish();
  for (const bson::Element& each : key->as_document()) {
    const auto value = finder.find(undotted(each.name));
    if (value) out.value(each.name, *value);
    if (!value) out.null(each.name);
  }
  return out.finish();
}

}  // namespace

// The others. None where the document itself is not in the index.
Result<std::vector<std::string>> KeptEntries::sharing(const std::string& ns,
                                                      const std::string& document,
                                                      const RelaxedIndex& index) {
  auto holders = store_.holders(ns, document, index.name());
  if (!holders || holders->empty()) return holders;
  const auto is_there = store_.holds_keys(ns, document, index.name());
  if (!is_there) return tl::unexpected(is_there.error());
  if (!*is_there) holders->clear();
  return holders;
}

Status KeptEntries::note_in(const std::string& ns, const std::string& document,
                            const RelaxedIndex& index, KeptChanges& changes) {
  const auto id = Document(document).find("_id");
  if (!id) return {};
  auto others = sharing(ns, document, index);
  if (!others) return tl::unexpected(others.error());
  std::sort(others->begin(), others->end(), [](const std::string& a, const std::string& b) {
    return canonical_id(Document(a)) < canonical_id(Document(b));
  });
  const std::string own = bson::canonical_key(*id);
  const auto known = this->known(changes, outbox::row_key(ns, own), index.name());
  if (!others->empty() && canonical_id(Document(others->front())) < own) {
    const bson::Value first = *Document(others->front()).find("_id");
    if (Status put = put_entry(ns, Document(document), index, first, changes); !put) return put;
  } else if (known) {
    if (Status resolved = resolve(*known, changes); !resolved) return resolved;
  }
  for (const std::string& other : *others) {
    const std::string theirs = canonical_id(Document(other));
    const auto noted = this->known(changes, outbox::row_key(ns, theirs), index.name());
    if (theirs < own || (noted && bson::canonical_key(noted->other.view()) <= own)) continue;
    if (Status put = put_entry(ns, Document(other), index, *id, changes); !put) return put;
  }
  return {};
}

Status KeptEntries::put_entry(const std::string& ns, const Document& document,
                              const RelaxedIndex& index, const bson::Value& other,
                              KeptChanges& changes) {
  KeptDocument noted{ns, bson::OwnedValue(*document.find("_id")), index.name(),
                     bson::OwnedValue(other), ""};
  const std::string canonical = bson::canonical_key(noted.id.view());
  const auto known = this->known(changes, noted.row_key(), noted.index);
  auto before = told(changes, known ? known->ledger_key : std::string());
  if (!before) return tl::unexpected(before.error());
  if (known && *before && known->other == noted.other) return {};
  auto row = outbox_.row(ns, canonical);
  if (!row) return tl::unexpected(row.error());
  auto state = merge::load_row(*row ? std::string_view(**row) : std::string_view());
  if (!state) return tl::unexpected(state.error());
  LedgerEntry entry =
      kept_entry(ns, noted.id, noted.index, keys_of(document, index), merge::claim_of(*state),
                 noted.other, site_.context.clock.wall_ms());
  noted.ledger_key = known ? known->ledger_key : ledger_key(entry);
  if (*before) {
    entry.loser = (*before)->loser;
    entry.time_ms = (*before)->time_ms;
  }
  changes.put(noted, std::move(entry), !known);
  return {};
}

Status KeptEntries::resolve(const KeptDocument& document, KeptChanges& changes) {
  auto entry = told(changes, document.ledger_key);
  if (!entry) return tl::unexpected(entry.error());
  if (*entry) {
    (*entry)->open = false;
    (*entry)->mark = LedgerMark::kResolved;
    changes.set_entry(document.ledger_key, std::move(**entry));
  }
  changes.remove(document);
  return {};
}

// ---- what is noted, and what is about to be

std::optional<KeptDocument> KeptEntries::known(const KeptChanges& changes,
                                               const std::string& row_key,
                                               const std::string& index) const {
  const auto now = changes.documents().find(kept_note_key(row_key, index));
  return now == changes.documents().end() ? site_.kept.kept(row_key, index) : now->second;
}

Result<std::optional<LedgerEntry>> KeptEntries::told(const KeptChanges& changes,
                                                     const std::string& ledger_key) const {
  const auto now = changes.entries().find(ledger_key);
  if (now != changes.entries().end()) return std::optional(now->second);
  if (ledger_key.empty()) return std::optional<LedgerEntry>();
  auto bytes = outbox_.ledger(ledger_key);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return std::optional<LedgerEntry>();
  auto entry = decode_ledger(**bytes);
  if (!entry) return tl::unexpected(entry.error());
  return std::optional(std::move(*entry));
}

void KeptEntries::add_to(outbox::Batch& batch, const KeptChanges& changes) {
  changes.add_to(batch);
  for (const auto& [key, entry] : changes.entries()) site_.ledger.put(batch, key, entry, 0);
}

Status KeptEntries::write(const KeptChanges& changes) {
  if (changes.empty()) return {};
  outbox::Batch batch;
  add_to(batch, changes);
  if (Status done = outbox_.write(std::move(batch)); !done) return done;
  written(changes);
  return {};
}

void KeptEntries::written(const KeptChanges& changes) {
  site_.kept.take(changes);
  ConflictCounts conflicts;
  for (const std::string& key : changes.fresh()) {
    const LedgerEntry& entry = changes.entries().at(key);
    ++conflicts[site_.ledger.counts_as(entry)];
    if (warn_) {
      warn_("kept " + entry.ns + " " + bson::to_json(entry.id.view(), 100) + ": " + entry.reason);
    }
  }
  site_.ledger.count(conflicts);
}

}  // namespace outrigger
