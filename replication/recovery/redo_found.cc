#include "replication/recovery/redo_found.h"

#include <algorithm>
#include <utility>

#include "replication/bson/fields.h"
#include "replication/merge/merge.h"

namespace outrigger {
namespace {

// Of one that a peer's record bore, and no other touched, that much is known, too.
bool is_made_here(const SiteId& self, std::span<const Forgotten> forgotten) {
  const auto& first = forgotten.front().effects->effects;
  if (std::none_of(first.begin(), first.end(),
                   [](const Effect& each) { return each.is_birth(); })) {
    return false;
  }
  return forgotten.size() == 1 ||
         std::all_of(forgotten.begin(), forgotten.end(),
                     [&](const Forgotten& each) { return each.dot().origin.site == self; });
}

bool are_equal(const bson::Value& a, const bson::Value& b) {
  if (!a.is_container() || a.type != b.type) return a == b;
  return bson::equal_unordered(a.as_document(), b.as_document());
}

// Where something else is to stand, and what stands there.
struct Found {
  Path path;
  bson::Value value;
  std::optional<bson::OwnedValue> winning;
  bool is_explained = false;
};

std::vector<Found> found_in(const StoreWrite& write, const bson::Document& stored) {
  std::vector<Found> all;
  if (write.kind != StoreWrite::Kind::kUpdate) {
    all.push_back({Path(), bson::Value{bson::Type::kDocument, stored.bytes()}, {}, false});
    return all;
  }
  bson::PathFinder finder(stored);
  const auto look = [&](const Path& path, std::optional<bson::OwnedValue> winning) {
    const auto value = finder.find(path);
    if (value) all.push_back({path, *value, std::move(winning), false});
  };
  for (const StoreWrite::Set& set : write.set) look(set.path, set.value);
  for (const Path& path : write.unset) look(path, std::nullopt);
  return all;
}

void explain(std::vector<Found>& all, const bson::Document& state) {
  bson::PathFinder finder(state);
  for (Found& found : all) {
    const auto value = finder.find(found.path);
    found.is_explained = found.is_explained || (value && are_equal(*value, found.value));
  }
}

LedgerEntry entry_of(const DocumentEffects& of, const Dot& winner, const Found& found) {
  LedgerEntry entry;
  entry.time_ms = hlc_ms(winner.hlc);
  entry.ns = of.ns;
  entry.id = of.id;
  entry.path = found.path;
  entry.kind = kUnrecorded;
  entry.shape = found.value.type == bson::Type::kDocument ? Shape::kDocument : Shape::kValue;
  entry.value = bson::OwnedValue(found.value);
  entry.winner = winner;
  if (found.winning && !found.winning->view().is_container()) entry.winning = found.winning;
  entry.reason =
      "the store showed this after a crash, and no record gave it; what was answered stands";
  return entry;
}

}  // namespace

std::vector<LedgerEntry> unexplained(const SiteId& self, std::span<const Forgotten> forgotten,
                                     const StoreWrite& write,
                                     const std::optional<std::string>& stored) {
  std::vector<LedgerEntry> entries;
  if (!stored || !is_made_here(self, forgotten)) return entries;
  std::vector<Found> all = found_in(write, bson::Document(*stored));
  merge::DocumentState state;
  merge::fill(state, std::nullopt);
  for (const Forgotten& each : forgotten) {
    merge::apply_remote(state, *each.record, *each.effects, nullptr);
    const auto left = merge::document_of(state);
    if (left) explain(all, bson::Document(*left));
  }
  for (const Found& found : all) {
    if (found.is_explained) continue;
    entries.push_back(entry_of(*forgotten.back().effects, forgotten.back().dot(), found));
  }
  return entries;
}

LedgerEntry missing(std::span<const Forgotten> forgotten) {
  LedgerEntry entry;
  entry.winner = forgotten.back().dot();
  entry.time_ms = hlc_ms(entry.winner.hlc);
  entry.ns = forgotten.back().effects->ns;
  entry.id = forgotten.back().effects->id;
  entry.kind = kMissing;
  entry.shape = Shape::kAbsent;
  entry.reason =
      "the store lacked this document after a crash, though its journal had held it: somebody "
      "deleted it around the sidecar, or the store is an old copy; it is left so, at this site "
      "alone";
  return entry;
}

}  // namespace outrigger
