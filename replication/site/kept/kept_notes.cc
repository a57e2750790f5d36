#include "replication/site/kept/kept_notes.h"

#include <algorithm>

#include "replication/site/state/meta_keys.h"
#include "replication/store/key_guard.h"

namespace outrigger {
namespace {

using bson::Document;

std::string key_of(const RelaxedIndex& index) {
  return meta_keys::kRelaxed + index.ns + '\0' + index.name();
}

std::string key_of(const std::string& row_key, const std::string& index) {
  return meta_keys::kKept + row_key + '\0' + index;
}

std::string key_of(const KeptDocument& document) {
  return key_of(document.row_key(), document.index);
}

std::string row_key_of(const std::string& ns, const bson::OwnedValue& id) {
  return outbox::row_key(ns, bson::canonical_key(id.view()));
}

std::string text_in(const Document& document, std::string_view name) {
  const auto value = document.find(name);
  const bool is_text = value && value->type == bson::Type::kString;
  return is_text ? std::string(value->as_string()) : std::string();
}

Error corrupt(const char* what) {
  return Error{ErrorCode::kCorrupt, "read what is kept", what, "a field is missing", ""};
}

}  // namespace

std::string RelaxedIndex::name() const { return std::string(index_name_of(Document(spec))); }

std::string KeptDocument::row_key() const { return row_key_of(ns, id); }

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

Status KeptNotes::load(const outbox::Outbox& outbox) {
  auto indexes = outbox.scan_meta(meta_keys::kRelaxed);
  if (!indexes) return tl::unexpected(indexes.error());
  auto documents = outbox.scan_meta(meta_keys::kKept);
  if (!documents) return tl::unexpected(documents.error());
  outbox::Batch is_there;  // in the log already
  for (const auto& [key, bytes] : *indexes) {
    auto index = decode_relaxed(bytes);
    if (!index) return tl::unexpected(index.error());
    put(is_there, *index);
  }
  for (const auto& [key, bytes] : *documents) {
    auto document = decode_kept_document(bytes);
    if (!document) return tl::unexpected(document.error());
    put(is_there, *document);
  }
  look_again();
  return {};
}

// ---- indexes

void KeptNotes::put(outbox::Batch& batch, const RelaxedIndex& index) {
  batch.put_meta(key_of(index), encode_relaxed(index));
  shown_->put(index.ns, index.spec);
  const MutexLock lock(mutex_);
  relaxed_.insert_or_assign(key_of(index), index);
  noted_ = relaxed_.size() + kept_.size();
}

void KeptNotes::remove(outbox::Batch& batch, const RelaxedIndex& index) {
  batch.remove_meta(key_of(index));
  shown_->erase(index.ns, index.name());
  const MutexLock lock(mutex_);
  relaxed_.erase(key_of(index));
  noted_ = relaxed_.size() + kept_.size();
}

std::optional<RelaxedIndex> KeptNotes::relaxed(const std::string& ns,
                                               const std::string& name) const {
  const MutexLock lock(mutex_);
  const auto known = relaxed_.find(meta_keys::kRelaxed + ns + '\0' + name);
  return known == relaxed_.end() ? std::nullopt : std::optional(known->second);
}

std::vector<RelaxedIndex> KeptNotes::relaxed_in(const std::string& ns) const {
  std::vector<RelaxedIndex> found;
  const MutexLock lock(mutex_);
  const std::string begin = meta_keys::kRelaxed + ns + '\0';
  for (auto at = relaxed_.lower_bound(begin); at != relaxed_.end(); ++at) {
    if (!at->first.starts_with(begin)) break;
    found.push_back(at->second);
  }
  return found;
}

std::vector<RelaxedIndex> KeptNotes::all_relaxed() const {
  std::vector<RelaxedIndex> found;
  const MutexLock lock(mutex_);
  for (const auto& [key, index] : relaxed_) found.push_back(index);
  return found;
}

// ---- documents

void KeptNotes::count(const KeptDocument& document, int by) {
  for (const bson::OwnedValue* id : {&document.id, &document.other}) {
    const std::string key = row_key_of(document.ns, *id);
    int& times = watched_[key];
    times += by;
    if (times == 0) watched_.erase(key);
  }
}

void KeptNotes::put(outbox::Batch& batch, const KeptDocument& document) {
  const std::string key = key_of(document);
  batch.put_meta(key, encode_kept_document(document));
  const MutexLock lock(mutex_);
  const auto known = kept_.find(key);
  if (known != kept_.end()) count(known->second, -1);
  kept_.insert_or_assign(key, document);
  count(document, 1);
  noted_ = relaxed_.size() + kept_.size();
}

void KeptNotes::remove(outbox::Batch& batch, const KeptDocument& document) {
  const std::string key = key_of(document);
  batch.remove_meta(key);
  const MutexLock lock(mutex_);
  const auto known = kept_.find(key);
  if (known == kept_.end()) return;
  count(known->second, -1);
  kept_.erase(known);
  noted_ = relaxed_.size() + kept_.size();
}

std::optional<KeptDocument> KeptNotes::kept(const std::string& row_key,
                                            const std::string& index) const {
  const MutexLock lock(mutex_);
  const auto known = kept_.find(key_of(row_key, index));
  return known == kept_.end() ? std::nullopt : std::optional(known->second);
}

bool KeptNotes::has_kept(const RelaxedIndex& index) const {
  const MutexLock lock(mutex_);
  const std::string begin = meta_keys::kKept + index.ns + '\0';
  const std::string name = index.name();
  for (auto at = kept_.lower_bound(begin); at != kept_.end(); ++at) {
    if (!at->first.starts_with(begin)) break;
    if (at->second.index == name) return true;
  }
  return false;
}

std::vector<KeptDocument> KeptNotes::next(std::string& cursor, size_t count) const {
  std::vector<KeptDocument> found;
  const MutexLock lock(mutex_);
  auto at = kept_.upper_bound(cursor);
  for (; at != kept_.end() && found.size() < count; ++at) {
    found.push_back(at->second);
    cursor = at->first;
  }
  if (at == kept_.end()) cursor.clear();
  return found;
}

size_t KeptNotes::size() const {
  const MutexLock lock(mutex_);
  return kept_.size();
}

std::map<std::string, std::vector<std::string>> KeptNotes::row_keys() const {
  std::map<std::string, std::vector<std::string>> found;
  const MutexLock lock(mutex_);
  for (const auto& [key, times] : watched_) {
    found[key.substr(0, key.find('\0'))].push_back(key);
  }
  return found;
}

// ---- reasons to look

void KeptNotes::touch(const std::vector<std::string>& row_keys) {
  if (empty()) return;
  const MutexLock lock(mutex_);
  const bool is_one =
      std::any_of(row_keys.begin(), row_keys.end(),
                  [&](const std::string& key) REQUIRES(mutex_) { return watched_.contains(key); });
  if (is_one) has_reason_ = true;
}

}  // namespace outrigger
