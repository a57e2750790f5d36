#include "replication/store/memory/memory_unique.h"

#include <optional>

#include "replication/bson/fields.h"

namespace outrigger {
namespace {

// What a document has in one field, each as bytes.
std::vector<std::string> values_in(const bson::Document& document, const Path& field) {
  const std::optional<bson::Value> value = bson::PathFinder(document).find(field);
  const std::string none = bson::Writer().null("").finish();
  if (!value) return {none};
  if (value->type != bson::Type::kArray) return {bson::canonical_key(*value)};
  std::vector<std::string> values;
  for (const bson::Element& each : value->as_document()) {
    values.push_back(bson::canonical_key(each.value));
  }
  if (values.empty()) values.push_back(none);
  return values;
}

}  // namespace

std::string MemoryIndex::name() const {
  std::string name;
  for (const Path& field : fields) {
    for (size_t i = 0; i < field.size(); ++i) {
      if (i > 0) name += '.';
      if (i == 0 && !name.empty()) name += '_';
      name += field[i];
    }
    name += "_1";
  }
  return name;
}

std::set<std::string> keys_in(const MemoryIndex& index, const bson::Document& document) {
  bool has_any = false;
  std::set<std::string> keys{""};
  for (const Path& field : index.fields) {
    has_any = has_any || bson::PathFinder(document).find(field).has_value();
    std::set<std::string> longer;
    for (const std::string& value : values_in(document, field)) {
      for (const std::string& key : keys) longer.insert(key + value + '\0');
    }
    keys = std::move(longer);
  }
  if (index.sparse && !has_any) keys.clear();
  return keys;
}

std::vector<Path> MemoryKeys::unique_fields(const std::string& ns) const {
  std::set<Path> fields;
  const auto found = unique_.find(ns);
  if (found == unique_.end()) return {};
  for (const MemoryIndex& index : found->second) {
    fields.insert(index.fields.begin(), index.fields.end());
  }
  return {fields.begin(), fields.end()};
}

Result<std::vector<std::string>> MemoryKeys::holders(const std::string& ns,
                                                     const std::string& document,
                                                     const std::string& index) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("look for the holder of a key"); !ok) {
    return tl::unexpected<Error>(ok.error());
  }
  std::vector<std::string> found;
  for (const MemoryIndex& each : unique_[ns]) {
    if (each.name() != index) continue;
    const std::string* const there = holder(ns, each, bson::Document(document));
    if (there != nullptr) found.push_back(*there);
  }
  return found;
}

Result<std::vector<ListedDocument>> MemoryKeys::list(const std::string& ns, int64_t count) {
  const MutexLock lock(mutex_);
  std::vector<ListedDocument> listed;
  for (auto at = documents_.lower_bound({ns, ""}); at != documents_.end(); ++at) {
    if (at->first.first != ns || static_cast<int64_t>(listed.size()) == count) break;
    const auto id = bson::Document(at->second).find("_id");
    listed.push_back({bson::OwnedValue(*id), static_cast<int64_t>(at->second.size())});
  }
  return listed;
}

void MemoryKeys::make_unique(const std::string& ns, MemoryIndex index) {
  const MutexLock lock(mutex_);
  unique_[ns].push_back(std::move(index));
}

void MemoryKeys::drop_unique(const std::string& ns, const std::string& name) {
  const MutexLock lock(mutex_);
  std::erase_if(unique_[ns], [&](const MemoryIndex& each) { return each.name() == name; });
}

std::string MemoryKeys::clash(const std::string& ns, const bson::Document& document) const {
  const MutexLock lock(mutex_);
  return clash_of(ns, document);
}

std::string MemoryKeys::clash_of(const std::string& ns, const bson::Document& document) const {
  const auto indexes = unique_.find(ns);
  if (indexes == unique_.end()) return {};
  for (const MemoryIndex& index : indexes->second) {
    if (holder(ns, index, document) == nullptr) continue;
    return "E11000 duplicate key error collection: " + ns + " index: " + index.name() +
           " dup key: { }";
  }
  return {};
}

const std::string* MemoryKeys::holder(const std::string& ns, const MemoryIndex& index,
                                      const bson::Document& document) const {
  const auto id = document.find("_id");
  const std::string own = id ? bson::canonical_key(*id) : std::string();
  const std::set<std::string> keys = keys_in(index, document);
  for (auto at = documents_.lower_bound({ns, ""}); at != documents_.end(); ++at) {
    if (at->first.first != ns) break;
    if (at->first.second == own) continue;
    for (const std::string& key : keys_in(index, bson::Document(at->second))) {
      if (keys.contains(key)) return &at->second;
    }
  }
  return nullptr;
}

}  // namespace outrigger
