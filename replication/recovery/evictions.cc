#include "replication/recovery/evictions.h"

#include <algorithm>
#include <optional>

#include "replication/outbox/outbox.h"
#include "replication/record/catalog.h"
#include "replication/recovery/recovery.h"

namespace outrigger {
namespace {

// Nothing: it is empty.
Result<std::optional<bson::OwnedValue>> oldest_of(Store& store, const std::string& ns) {
  const size_t dot = ns.find('.');
  bson::Writer ask;
  ask.string("find", ns.substr(dot + 1)).open_document("projection").int32("_id", 1).close();
  ask.open_document("sort").int32("$natural", 1).close().int32("limit", 1);
  const auto found = store.find(ns.substr(0, dot), ask.finish());
  if (!found) return tl::unexpected(found.error());
  if (!found->refusal.empty()) {
    return fail(ErrorCode::kUnavailable, "look for the oldest document of", ns,
                bson::to_json(bson::Document(found->refusal), 300));
  }
  std::optional<bson::OwnedValue> oldest;
  for (const std::string& document : found->documents) {
    if (const auto id = bson::Document(document).find("_id")) oldest.emplace(*id);
  }
  return oldest;
}

}  // namespace

Status EvictedDocuments::look(Store& store, const std::string& ns, const MadeBy& made_by) {
  if (ns == kCatalogNs || looked_at_.contains(ns)) return {};
  const auto evicts = is_capped(store, ns);
  if (!evicts) return tl::unexpected(evicts.error());
  if (*evicts) {
    const auto oldest = oldest_of(store, ns);
    if (!oldest) return tl::unexpected(oldest.error());
    Dot first;
    if (*oldest) {
      const auto made = made_by(outbox::row_key(ns, bson::canonical_key((*oldest)->view())));
      if (!made) return tl::unexpected(made.error());
      first = *made;
    }
    oldest_[ns] = first;
  }
  looked_at_.insert(ns);
  return {};
}

bool EvictedDocuments::has(const std::string& ns, const Dot& made) const {
  const auto oldest = oldest_.find(ns);
  return oldest != oldest_.end() && (made.is_zero() || made < oldest->second);
}

void EvictedDocuments::clear() {
  looked_at_.clear();
  oldest_.clear();
}

Result<SettledPrepare> judge_with_evictions(Store& store, const Prepare& prepare,
                                            const std::vector<OplogWrite>* oplog, bool put_back) {
  auto settled = judge_prepare(store, prepare, oplog, put_back);
  if (!settled) return settled;
  const bool is_delete = std::any_of(
      prepare.documents.begin(), prepare.documents.end(),
      [](const PreparedDocument& each) { return each.what == PreparedDocument::What::kRemove; });
  if (is_delete) return settled;
  std::vector<DocumentChange> stand;
  std::vector<DocumentChange>& changes = settled->changes;
  for (size_t i = 0; i < changes.size(); ++i) {
    // One that is made anew is removed first.
    const bool is_anew = i + 1 < changes.size() && changes[i + 1].id == changes[i].id;
    const bool is_gone = changes[i].kind == DocumentChange::Kind::kRemove && !is_anew;
    const auto evicts = is_gone && changes[i].ns != kCatalogNs ? is_capped(store, changes[i].ns)
                                                               : Result<bool>(false);
    if (!evicts) return tl::unexpected(evicts.error());
    if (!*evicts) stand.push_back(std::move(changes[i]));
  }
  settled->changes = std::move(stand);
  return settled;
}

Dot made_by(std::span<const Forgotten> forgotten) {
  Dot made;
  for (const Forgotten& each : forgotten) {
    const auto& effects = each.effects->effects;
    const bool makes = std::any_of(effects.begin(), effects.end(),
                                   [](const Effect& effect) { return effect.is_birth(); });
    if (makes) made = each.dot();
  }
  return made;
}

}  // namespace outrigger
