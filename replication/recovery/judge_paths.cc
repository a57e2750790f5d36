#include "replication/recovery/judge_paths.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "replication/apply/apply_batch.h"
#include "replication/bson/fields.h"
#include "replication/bson/number.h"
#include "replication/record/catalog.h"

namespace outrigger {
namespace {

// The number less what was added to it. Nothing: that does not lead back.
std::optional<bson::OwnedValue> less(const bson::Value& now, const bson::Value& delta) {
  if (!now.is_number() || !delta.is_number()) return std::nullopt;
  const bson::OwnedValue before = bson::add(now, bson::negate(delta).view()).value;
  const bson::Sum again = bson::increment(before.view(), delta);
  if (again.clamped || again.value != bson::OwnedValue(now)) return std::nullopt;
  return before;
}

std::optional<PathChange> increment_of(Stored& stored, const PreparedPath& prepared) {
  const auto now = stored.value_at(prepared.path);
  const bson::Value delta = prepared.value.view();
  if (!now) return std::nullopt;
  PathChange at;
  at.kind = Operation::kIncrement;
  at.path = prepared.path;
  at.value = prepared.value;
  at.base_known = true;
  at.base = less(*now, delta);
  return at.base ? std::optional(at) : std::nullopt;
}

std::optional<uint32_t> position_of(const std::string& name) {
  uint32_t position = 0;
  const char* const end = name.data() + name.size();
  const auto [last, wrong] = std::from_chars(name.data(), end, position);
  return wrong == std::errc{} && last == end ? std::optional(position) : std::nullopt;
}

// An element before something was added to a number in it, or to itself.
std::optional<bson::OwnedValue> before_increment(const bson::Value& element, const Path& inside,
                                                 const bson::Value& delta) {
  if (inside.empty()) return less(element, delta);
  if (element.type != bson::Type::kDocument) return std::nullopt;
  const auto now = bson::PathFinder(element.as_document()).find(inside);
  const auto was = now ? less(*now, delta) : std::nullopt;
  if (!was) return std::nullopt;
  StoreWrite write;
  write.set.push_back({inside, *was});
  auto before = written(std::string(element.bytes), std::vector<const StoreWrite*>{&write});
  return before ? std::optional(bson::make_document(*before)) : std::nullopt;
}

// All that was done to the array at `path`. Nothing: it was something else.
std::optional<PathChange> increments_of(const bson::Value& array, const Path& path,
                                        const std::vector<const PreparedPath*>& increments) {
  std::vector<bson::OwnedValue> elements;
  for (const bson::Element& each : array.as_document()) elements.emplace_back(each.value);
  PathChange at;
  for (const PreparedPath* each : increments) {
    const bool goes_on = each->kind == Operation::kIncrement && each->path.size() > path.size();
    const auto position = goes_on ? position_of(each->path[path.size()]) : std::nullopt;
    if (!position || *position >= elements.size()) return std::nullopt;
    const Path inside(each->path.begin() + static_cast<ptrdiff_t>(path.size()) + 1,
                      each->path.end());
    auto before = before_increment(elements[*position].view(), inside, each->value.view());
    if (!before) return std::nullopt;
    elements[*position] = *std::move(before);
    at.parts.push_back({position, inside, each->value});
  }
  bson::Writer base;
  for (size_t i = 0; i < elements.size(); ++i) base.value(bson::index_name(i), elements[i]);
  at.kind = Operation::kEdit;
  at.path = path;
  at.value = bson::OwnedValue(array);
  at.base_known = true;
  at.base = bson::OwnedValue(bson::Type::kArray, base.finish());
  at.edit = ArrayEdit::kInPlace;
  return at;
}

std::optional<PathChange> push_of(Stored& stored, const PreparedPath& prepared) {
  const auto now = stored.value_at(prepared.path);
  if (!now || now->type != bson::Type::kArray) return std::nullopt;
  std::vector<bson::Value> all;
  std::vector<bson::Value> added;
  for (const bson::Element& each : now->as_document()) all.push_back(each.value);
  for (const bson::Element& each : prepared.value.view().as_document()) added.push_back(each.value);
  if (added.empty() || added.size() > all.size() ||
      !std::equal(added.rbegin(), added.rend(), all.rbegin())) {
    return std::nullopt;
  }
  bson::Writer before;
  for (size_t i = 0; i + added.size() < all.size(); ++i) before.value(bson::index_name(i), all[i]);
  PathChange at;
  at.kind = Operation::kEdit;
  at.path = prepared.path;
  at.value = bson::OwnedValue(*now);
  at.base_known = true;
  at.base = bson::OwnedValue(bson::Type::kArray, before.finish());
  at.base_may_be_missing = added.size() == all.size();
  return at;
}

}  // namespace

std::optional<PathChange> Stored::change_at(Path path) {
  if (!path.empty() && path.front() == "_id") path.resize(1);  // it is one value
  const bson::PathFinder::Reached reached = finder_.walk(path);
  const bool whole = reached.names == path.size();
  const bool array = reached.value && reached.value->type == bson::Type::kArray;
  if (!whole && !array) return std::nullopt;
  PathChange at;
  at.path = Path(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(reached.names));
  at.kind = reached.value ? Operation::kAssign : Operation::kUnset;
  if (reached.value) at.value = bson::OwnedValue(*reached.value);
  at.edit = ArrayEdit::kFound;
  return at;
}

std::optional<Path> Stored::array_on_way(const Path& path) {
  const bson::PathFinder::Reached reached = finder_.walk(path);
  if (!reached.value || reached.value->type != bson::Type::kArray) return std::nullopt;
  return Path(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(reached.names));
}

// The present values of the paths, once each; `known` holds those that have a change already.
void add_present_values(DocumentChange& change, Stored& stored, const std::vector<Path>& named,
                        std::set<Path> known) {
  for (const Path& path : named) {
    std::optional<PathChange> at = stored.change_at(path);
    if (at && !at->path.empty() && known.insert(at->path).second) {
      change.changes.push_back(std::move(*at));
    }
  }
}

std::optional<PathChange> addition_of(Stored& stored, const PreparedPath& prepared) {
  if (prepared.kind == Operation::kIncrement) return increment_of(stored, prepared);
  if (prepared.kind == Operation::kEdit) return push_of(stored, prepared);
  return std::nullopt;
}

std::vector<PathChange> additions_in_arrays(Stored& stored,
                                            const std::vector<PreparedPath>& paths) {
  std::map<Path, std::vector<const PreparedPath*>> arrays;
  for (const PreparedPath& each : paths) {
    if (const auto array = stored.array_on_way(each.path)) arrays[*array].push_back(&each);
  }
  std::vector<PathChange> changes;
  for (const auto& [path, increments] : arrays) {
    auto change = increments_of(*stored.value_at(path), path, increments);
    if (change) changes.push_back(*std::move(change));
  }
  return changes;
}

void tell_version(DocumentChange& change, const PreparedDocument& prepared,
                  const std::optional<std::string>& stored) {
  using Kind = DocumentChange::Kind;
  const Path& field = prepared.version_field;
  if (!stored || (field.empty() && !prepared.told_whole)) return;
  const bool shows = !field.empty() && bson::has_path(bson::Document(*stored), field);
  const bool gives =
      prepared.told_whole ||
      (change.kind == Kind::kUpdate ? std::any_of(change.changes.begin(), change.changes.end(),
                                                  [&](const PathChange& at) {
                                                    return has_prefix(at.path, field) ||
                                                           has_prefix(field, at.path);
                                                  })
                                    : shows);
  if (!gives) return;
  if (change.kind == Kind::kUpsert) change.kind = Kind::kInsert;
  if (change.kind == Kind::kUpdate) change.kind = Kind::kReplace;
  if (change.kind != Kind::kInsert && change.kind != Kind::kReplace) return;
  change.is_version = change.kind == Kind::kReplace;
  change.document = *stored;
  change.changes.clear();
}

std::optional<DocumentChange> catalog_difference(const PreparedDocument& prepared,
                                                 const std::string& document) {
  const auto before = catalog_entry(bson::Document(prepared.document));
  const auto after = catalog_entry(bson::Document(document));
  if (!before || !after) return std::nullopt;
  std::vector<PathChange> changes = catalog_changes(*before, *after);
  if (changes.empty()) return std::nullopt;
  return catalog_change(before->ns, std::move(changes));
}

}  // namespace outrigger
