#include "replication/store/memory/memory_unique.h"

#include <algorithm>
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
  for (const Path& field : fields) name += (name.empty() ? "" : "_") + dotted(field) + "_1";
  return name;
}

std::string MemoryIndex::spec() const {
  bson::Writer out;
  out.open_document("key");
  for (const Path& field : fields) out.int32(dotted(field), 1);
  out.close().string("name", name());
  if (sparse) out.boolean("sparse", true);
  return out.finish();
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
    for (const std::string* there : sharing(ns, each, bson::Document(document))) {
      found.push_back(*there);
    }
  }
  return found;
}

Result<bool> MemoryKeys::holds_keys(const std::string& ns, const std::string& document,
                                    const std::string& index) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("look for a key"); !ok) return tl::unexpected<Error>(ok.error());
  bool holds = false;
  for (const MemoryIndex& each : unique_[ns]) {
    if (each.name() == index) holds = in_index(ns, each, bson::Document(document)) != nullptr;
  }
  return holds;
}

Result<std::optional<KeyIndex>> MemoryKeys::key_index(const std::string& ns,
                                                      const std::string& name) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("look at an index"); !ok) return tl::unexpected<Error>(ok.error());
  for (const MemoryIndex& each : unique_[ns]) {
    if (each.name() == name) return std::optional(KeyIndex{each.spec(), each.guard, false});
  }
  return std::optional<KeyIndex>();
}

Result<GuardChange> MemoryKeys::set_guard(const std::string& ns, const std::string& spec,
                                          KeyGuard guard) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("change an index"); !ok) return tl::unexpected<Error>(ok.error());
  const auto crash = [] {
    return fail(ErrorCode::kUnavailable, "change an index", "memory store", "told to crash");
  };
  if (crashes_at_next_write()) return crash();
  if (const int32_t code = guard_rule_ ? guard_rule_(guard) : 0; code != 0) {
    return GuardChange{code, "told to refuse"};
  }
  std::vector<MemoryIndex>& indexes = unique_[ns];
  auto index = std::find_if(indexes.begin(), indexes.end(),
                            [&](const MemoryIndex& each) { return each.spec() == spec; });
  if (index != indexes.end() && index->guard == guard) return GuardChange();
  if (index != indexes.end() && guard == KeyGuard::kAll) {
    auto found = duplicates(ns, *index);
    if (!found.empty())
      return GuardChange{GuardChange::kHasDuplicates, "duplicates", std::move(found)};
  }
  const bool is_made_anew = index != indexes.end() && index->guard == KeyGuard::kAll;
  if (is_made_anew) indexes.erase(index);
  if (is_made_anew && crashes_at_next_write()) return crash();
  if (!is_made_anew && index == indexes.end() && guard == KeyGuard::kAll) {
    return GuardChange{GuardChange::kNoIndex, "there is none"};
  }
  std::optional<GuardChange> refused;
  if ((is_made_anew || index == indexes.end()) && may_make_ && !may_make_(guard)) {
    refused = GuardChange{67, "told not to make it"};
    refused->is_away = !may_make_(KeyGuard::kAll);
    if (refused->is_away) return *refused;
    guard = KeyGuard::kAll;
  }
  if (is_made_anew || index == indexes.end()) {
    MemoryIndex made;
    const bson::Document said(spec);
    for (const bson::Element& key : said.find("key")->as_document()) {
      made.fields.push_back(undotted(key.name));
    }
    made.sparse = said.find("sparse").has_value();
    index = indexes.insert(indexes.end(), std::move(made));
  }
  index->guard = guard;
  return refused.value_or(GuardChange());
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

void MemoryKeys::fail_to_make(std::function<bool(KeyGuard)> may) {
  const MutexLock lock(mutex_);
  may_make_ = std::move(may);
}

void MemoryKeys::refuse_guards(std::function<int32_t(KeyGuard)> code) {
  const MutexLock lock(mutex_);
  guard_rule_ = std::move(code);
}

std::string MemoryKeys::clash(const std::string& ns, const bson::Document& document) const {
  const MutexLock lock(mutex_);
  return clash_of(ns, document);
}

std::string MemoryKeys::clash_of(const std::string& ns, const bson::Document& document) const {
  const auto indexes = unique_.find(ns);
  if (indexes == unique_.end()) return {};
  for (const MemoryIndex& index : indexes->second) {
    if (!refuses(ns, index, document)) continue;
    return "E11000 duplicate key error collection: " + ns + " index: " + index.name() +
           " dup key: { }";
  }
  return {};
}

std::vector<const std::string*> MemoryKeys::sharing(const std::string& ns, const MemoryIndex& index,
                                                    const bson::Document& document) const {
  std::vector<const std::string*> found;
  const auto id = document.find("_id");
  const std::string own = id ? bson::canonical_key(*id) : std::string();
  const std::set<std::string> keys = keys_in(index, document);
  for (auto at = documents_.lower_bound({ns, ""}); at != documents_.end(); ++at) {
    if (at->first.first != ns) break;
    if (at->first.second == own) continue;
    const std::set<std::string> theirs = keys_in(index, bson::Document(at->second));
    const bool is_shared = std::any_of(theirs.begin(), theirs.end(),
                                       [&](const std::string& key) { return keys.contains(key); });
    if (is_shared) found.push_back(&at->second);
  }
  return found;
}

const std::string* MemoryKeys::in_index(const std::string& ns, const MemoryIndex& index,
                                        const bson::Document& document) const {
  const auto id = document.find("_id");
  const auto at = id ? documents_.find(memory_key(ns, *id)) : documents_.end();
  if (at == documents_.end()) return nullptr;
  const std::set<std::string> keys = keys_in(index, document);
  for (const std::string& key : keys_in(index, bson::Document(at->second))) {
    if (keys.contains(key)) return &at->second;
  }
  return nullptr;
}

// As MongoDB's prepareUnique: what the document held before it goes on holding.
bool MemoryKeys::refuses(const std::string& ns, const MemoryIndex& index,
                         const bson::Document& document) const {
  if (index.guard == KeyGuard::kNone) return false;
  std::set<std::string> had;
  const auto id = document.find("_id");
  const auto before = id ? documents_.find(memory_key(ns, *id)) : documents_.end();
  if (index.guard == KeyGuard::kNew && before != documents_.end()) {
    had = keys_in(index, bson::Document(before->second));
  }
  const std::set<std::string> keys = keys_in(index, document);
  for (const std::string* other : sharing(ns, index, document)) {
    for (const std::string& key : keys_in(index, bson::Document(*other))) {
      if (keys.contains(key) && !had.contains(key)) return true;
    }
  }
  return false;
}

std::vector<std::vector<bson::OwnedValue>> MemoryKeys::duplicates(const std::string& ns,
                                                                  const MemoryIndex& index) const {
  std::map<std::string, std::vector<bson::OwnedValue>> ids;  // by key
  for (auto at = documents_.lower_bound({ns, ""}); at != documents_.end(); ++at) {
    if (at->first.first != ns) break;
    const bson::Document document(at->second);
    for (const std::string& key : keys_in(index, document)) {
      ids[key].emplace_back(*document.find("_id"));
    }
  }
  std::vector<std::vector<bson::OwnedValue>> found;
  for (auto& [key, of] : ids) {
    if (of.size() > 1) found.push_back(std::move(of));
  }
  return found;
}

}  // namespace outrigger
