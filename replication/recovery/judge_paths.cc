#include "replication/recovery/judge_paths.h"

#include <algorithm>
#include <utility>

#include "replication/bson/number.h"

namespace outrigger {
namespace {

std::optional<PathChange> increment_of(Stored& stored, const PreparedPath& prepared) {
  const auto now = stored.value_at(prepared.path);
  const bson::Value delta = prepared.value.view();
  if (!now || !now->is_number() || !delta.is_number()) return std::nullopt;
  PathChange at;
  at.kind = Operation::kIncrement;
  at.path = prepared.path;
  at.value = prepared.value;
  at.base_known = true;
  at.base = bson::add(*now, bson::negate(delta).view()).value;
  const bson::Sum again = bson::increment(at.base->view(), delta);
  if (again.clamped || again.value != bson::OwnedValue(*now)) return std::nullopt;
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

}  // namespace outrigger
