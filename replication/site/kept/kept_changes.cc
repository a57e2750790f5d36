#include "replication/site/kept/kept_changes.h"

#include "replication/outbox/outbox.h"
#include "replication/site/state/meta_keys.h"
#include "replication/store/key_guard.h"

namespace outrigger {
namespace {

using bson::Document;

std::string text_in(const Document& document, std::string_view name) {
  const auto value = document.find(name);
  const bool is_text = value && value->type == bson::Type::kString;
  return is_text ? std::string(value->as_string()) : std::string();
}

Error corrupt(const char* what) {
  return Error{ErrorCode::kCorrupt, "read what is kept", what, "a field is missing", ""};
}

}  // namespace

std::string kept_note_key(const RelaxedIndex& index) {
  return meta_keys::kRelaxed + index.ns + '\0' + index.name();
}

std::string kept_note_key(const std::string& row_key, const std::string& index) {
  return meta_keys::kKept + row_key + '\0' + index;
}

std::string kept_note_key(const KeptDocument& document) {
  return kept_note_key(document.row_key(), document.index);
}

std::string RelaxedIndex::name() const { return std::string(index_name_of(Document(spec))); }

std::string KeptDocument::row_key() const {
  return outbox::row_key(ns, bson::canonical_key(id.view()));
}

std::string encode_relaxed(const RelaxedIndex& index) {
  bson::Writer out;
  out.string("ns", index.ns).document("index", Document(index.spec));
  return out.boolean("made", index.is_made).finish();
}

std::string encode_kept_document(const KeptDocument& document) {
  bson::Writer out;
  out.string("ns", document.ns).value("id", document.id).string("index", document.index);
  return out.value("other", document.other).binary("ledger", 0, document.ledger_key).finish();
}

Result<RelaxedIndex> decode_relaxed(std::string_view bytes) {
  if (Status valid = bson::validate(bytes); !valid) return tl::unexpected(valid.error());
  const Document from(bytes);
  const auto spec = from.find("index");
  const auto made = from.find("made");
  RelaxedIndex index;
  index.ns = text_in(from, "ns");
  if (spec && spec->type == bson::Type::kDocument) index.spec = spec->as_document().bytes();
  index.is_made = made && made->truthy();
  if (index.ns.empty() || index.name().empty()) return tl::unexpected(corrupt("an index"));
  return index;
}

Result<KeptDocument> decode_kept_document(std::string_view bytes) {
  if (Status valid = bson::validate(bytes); !valid) return tl::unexpected(valid.error());
  const Document from(bytes);
  const auto id = from.find("id");
  const auto other = from.find("other");
  const auto ledger = from.find("ledger");
  KeptDocument document;
  document.ns = text_in(from, "ns");
  document.index = text_in(from, "index");
  if (!id || !other || !ledger || document.ns.empty()) {
    return tl::unexpected(corrupt("a document"));
  }
  document.id = bson::OwnedValue(*id);
  document.other = bson::OwnedValue(*other);
  document.ledger_key = std::string(ledger->binary());
  return document;
}

void KeptChanges::put(const RelaxedIndex& index) {
  indexes_.insert_or_assign(kept_note_key(index), index);
}

void KeptChanges::remove(const RelaxedIndex& index) {
  indexes_.insert_or_assign(kept_note_key(index), std::nullopt);
}

void KeptChanges::put(const KeptDocument& document, LedgerEntry entry, bool is_new) {
  documents_.insert_or_assign(kept_note_key(document), document);
  if (is_new) fresh_.push_back(document.ledger_key);
  set_entry(document.ledger_key, std::move(entry));
}

void KeptChanges::remove(const KeptDocument& document) {
  documents_.insert_or_assign(kept_note_key(document), std::nullopt);
}

void KeptChanges::set_entry(const std::string& ledger_key, LedgerEntry entry) {
  entries_.insert_or_assign(ledger_key, std::move(entry));
}

void KeptChanges::append(const KeptChanges& later) {
  for (const auto& [key, index] : later.indexes_) indexes_.insert_or_assign(key, index);
  for (const auto& [key, document] : later.documents_) documents_.insert_or_assign(key, document);
  for (const auto& [key, entry] : later.entries_) entries_.insert_or_assign(key, entry);
  fresh_.insert(fresh_.end(), later.fresh_.begin(), later.fresh_.end());
}

bool KeptChanges::empty() const {
  return indexes_.empty() && documents_.empty() && entries_.empty();
}

void KeptChanges::add_to(outbox::Batch& batch) const {
  for (const auto& [key, index] : indexes_) {
    if (index) batch.put_meta(key, encode_relaxed(*index));
    if (!index) batch.remove_meta(key);
  }
  for (const auto& [key, document] : documents_) {
    if (document) batch.put_meta(key, encode_kept_document(*document));
    if (!document) batch.remove_meta(key);
  }
}

}  // namespace outrigger
