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
Result<std::vector<std::string>> KeptEntries::sharing(const std::string& ns, const bson::Value& id,
                                                      const std::string& document,
                                                      const RelaxedIndex& index) {
  auto holders = store_.holders(ns, document, index.name());
  if (!holders) return holders;
  const std::string own = bson::canonical_key(id);
  const size_t all = holders->size();
  std::erase_if(*holders,
                [&](const std::string& each) { return canonical_id(Document(each)) == own; });
  if (holders->size() == all) holders->clear();
  return holders;
}

Status KeptEntries::note_in(const std::string& ns, const std::string& document,
                            const RelaxedIndex& index, outbox::Batch& batch) {
  const auto id = Document(document).find("_id");
  if (!id) return {};
  auto others = sharing(ns, *id, document, index);
  if (!others) return tl::unexpected(others.error());
  std::sort(others->begin(), others->end(), [](const std::string& a, const std::string& b) {
    return canonical_id(Document(a)) < canonical_id(Document(b));
  });
  const std::string own = bson::canonical_key(*id);
  const auto known = site_.kept.kept(outbox::row_key(ns, own), index.name());
  if (!others->empty() && canonical_id(Document(others->front())) < own) {
    const bson::Value first = *Document(others->front()).find("_id");
    if (Status put = put_entry(ns, Document(document), index, first, batch); !put) return put;
  } else if (known) {
    if (Status resolved = resolve(*known, batch); !resolved) return resolved;
  }
  for (const std::string& other : *others) {
    const std::string theirs = canonical_id(Document(other));
    const auto noted = site_.kept.kept(outbox::row_key(ns, theirs), index.name());
    if (theirs < own || (noted && bson::canonical_key(noted->other.view()) <= own)) continue;
    if (Status put = put_entry(ns, Document(other), index, *id, batch); !put) return put;
  }
  return {};
}

Status KeptEntries::put_entry(const std::string& ns, const Document& document,
                              const RelaxedIndex& index, const bson::Value& other,
                              outbox::Batch& batch) {
  KeptDocument noted{ns, bson::OwnedValue(*document.find("_id")), index.name(),
                     bson::OwnedValue(other), ""};
  const std::string canonical = bson::canonical_key(noted.id.view());
  const auto known = site_.kept.kept(noted.row_key(), noted.index);
  if (known && known->other == noted.other) return {};
  auto row = outbox_.row(ns, canonical);
  if (!row) return tl::unexpected(row.error());
  auto state = merge::load_row(*row ? std::string_view(**row) : std::string_view());
  if (!state) return tl::unexpected(state.error());
  LedgerEntry entry =
      kept_entry(ns, noted.id, noted.index, keys_of(document, index), merge::claim_of(*state),
                 noted.other, site_.context.clock.wall_ms());
  noted.ledger_key = known ? known->ledger_key : ledger_key(entry);
  auto before = outbox_.ledger(noted.ledger_key);
  if (!before) return tl::unexpected(before.error());
  if (known && *before) {
    auto told = decode_ledger(**before);
    if (!told) return tl::unexpected(told.error());
    entry.loser = told->loser;
    entry.time_ms = told->time_ms;
  }
  site_.ledger.put(batch, noted.ledger_key, entry, known ? 0 : 1);
  site_.kept.put(batch, noted);
  if (!known && warn_)
    warn_("kept " + ns + " " + bson::to_json(noted.id.view(), 100) + ": " + entry.reason);
  return {};
}

Status KeptEntries::resolve(const KeptDocument& document, outbox::Batch& batch) {
  auto bytes = outbox_.ledger(document.ledger_key);
  if (!bytes) return tl::unexpected(bytes.error());
  if (*bytes) {
    auto entry = decode_ledger(**bytes);
    if (!entry) return tl::unexpected(entry.error());
    entry->open = false;
    entry->mark = LedgerMark::kResolved;
    site_.ledger.put(batch, document.ledger_key, *entry, 0);
  }
  site_.kept.remove(batch, document);
  return {};
}

}  // namespace outrigger
