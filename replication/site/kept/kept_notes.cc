#include "replication/site/kept/kept_notes.h"

#include <algorithm>

#include "replication/site/state/meta_keys.h"
#include "replication/store/key_guard.h"

namespace outrigger {
namespace {

std::string row_key_of(const std::string& ns, const bson::OwnedValue& id) {
  return outbox::row_key(ns, bson::canonical_key(id.view()));
}

}  // namespace

// What it has shown as relaxed in an earlier life, of the same process, counts no more.
Status KeptNotes::load(const outbox::Outbox& outbox) {
  auto indexes = outbox.scan_meta(meta_keys::kRelaxed);
  if (!indexes) return tl::unexpected(indexes.error());
  auto documents = outbox.scan_meta(meta_keys::kKept);
  if (!documents) return tl::unexpected(documents.error());
  KeptChanges there;
  for (const auto& [key, bytes] : *indexes) {
    auto index = decode_relaxed(bytes);
    if (!index) return tl::unexpected(index.error());
    there.put(*index);
  }
  for (const auto& [key, bytes] : *documents) {
    auto document = decode_kept_document(bytes);
    if (!document) return tl::unexpected(document.error());
    there.put(*document, LedgerEntry(), false);
  }
  shown_->clear();
  take(there);
  look_again();
  return {};
}

void KeptNotes::take(const KeptChanges& changes) {
  for (const auto& [key, index] : changes.indexes()) {
    if (index) shown_->put(index->ns, index->spec);
    const auto gone = index ? std::nullopt : find_relaxed(key);
    if (gone) shown_->erase(gone->ns, gone->name());
  }
  const MutexLock lock(mutex_);
  for (const auto& [key, index] : changes.indexes()) {
    if (index) relaxed_.insert_or_assign(key, *index);
    if (!index) relaxed_.erase(key);
  }
  for (const auto& [key, document] : changes.documents()) {
    const auto known = kept_.find(key);
    if (known != kept_.end()) count(known->second, -1);
    if (known != kept_.end()) kept_.erase(known);
    if (!document) continue;
    kept_.emplace(key, *document);
    count(*document, 1);
  }
  noted_ = relaxed_.size() + kept_.size();
}

// ---- indexes

std::optional<RelaxedIndex> KeptNotes::find_relaxed(const std::string& key) const {
  const MutexLock lock(mutex_);
  const auto known = relaxed_.find(key);
  return known == relaxed_.end() ? std::nullopt : std::optional(known->second);
}

std::optional<RelaxedIndex> KeptNotes::relaxed(const std::string& ns,
                                               const std::string& name) const {
  return find_relaxed(meta_keys::kRelaxed + ns + '\0' + name);
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

CatalogEntry KeptNotes::catalogued(const std::string& ns) const {
  CatalogEntry entry;
  entry.ns = ns;
  for (const RelaxedIndex& each : relaxed_in(ns)) {
    const std::string unique = with_guard(bson::Document(each.spec), KeyGuard::kAll);
    entry.indexes.emplace(each.name(), catalog_index(bson::Document(unique)));
  }
  return entry;
}

KeptChanges KeptNotes::gone_by(const CatalogEntry& after) const {
  KeptChanges gone;
  for (const RelaxedIndex& each : relaxed_in(after.ns)) {
    const auto there = after.indexes.find(each.name());
    const auto spec = there == after.indexes.end()
                          ? std::nullopt
                          : std::optional(index_spec(there->first, there->second));
    const bool stays = spec && *spec && guard_of(bson::Document(**spec)) == KeyGuard::kAll &&
                       is_same_index(bson::Document(each.spec), bson::Document(**spec));
    if (!stays) gone.remove(each);
  }
  return gone;
}

KeptChanges KeptNotes::gone_by(const std::vector<DocumentChange>& changes) const {
  KeptChanges gone;
  if (empty()) return gone;
  for (const DocumentChange& change : changes) {
    if (change.ns != kCatalogNs || change.id.type != bson::Type::kString) continue;
    CatalogEntry entry = catalogued(std::string(change.id.view().as_string()));
    for (const PathChange& each : change.changes) {
      if (each.kind == Operation::kUnset) (void)unset_in_catalog(entry, each.path);
      if (each.kind == Operation::kAssign) (void)set_in_catalog(entry, each.path, each.value);
    }
    gone.append(gone_by(entry));
  }
  return gone;
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

std::optional<KeptDocument> KeptNotes::kept(const std::string& row_key,
                                            const std::string& index) const {
  const MutexLock lock(mutex_);
  const auto known = kept_.find(kept_note_key(row_key, index));
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
