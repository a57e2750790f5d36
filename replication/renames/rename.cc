#include "replication/renames/rename.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

#include "config/limits.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;

// No store has it: a prepare that names it is one of a rename.
constexpr std::string_view kRenamesNs = "outrigger.renames";
constexpr uint8_t kUuid = 4;

tl::unexpected<Error> says_nothing() {
  return fail(ErrorCode::kCorrupt, "settle a rename in doubt", "", "its prepare says nothing");
}

}  // namespace

std::vector<PreparedDocument> prepared_rename(const Rename& rename) {
  std::vector<PreparedDocument> documents;
  for (const CatalogEntry* entry : {&rename.source, &rename.target}) {
    documents.push_back(prepared_entry(entry->ns, catalog_document(*entry)));
  }
  PreparedDocument& order = documents.emplace_back();
  order.ns = kRenamesNs;
  order.id = bson::make_string(rename.from);
  order.whole = true;
  order.document = Writer().string("to", rename.to).binary("uuid", kUuid, rename.uuid).finish();
  return documents;
}

bool is_rename(const Prepare& prepare) {
  return prepare.documents.size() == 3 && prepare.documents.back().ns == kRenamesNs;
}

Result<Rename> rename_of(const Prepare& prepare) {
  auto source = catalog_entry(Document(prepare.documents[0].document));
  auto target = catalog_entry(Document(prepare.documents[1].document));
  if (!source || !target) return says_nothing();
  const auto uuid = Document(prepare.documents[2].document).find("uuid");
  constexpr size_t kBefore = 5;  // length and kind
  if (!uuid || uuid->type != bson::Type::kBinary || uuid->bytes.size() <= kBefore) {
    return says_nothing();
  }
  Rename rename;
  rename.from = source->ns;
  rename.to = target->ns;
  rename.uuid = std::string(uuid->bytes.substr(kBefore));
  rename.source = std::move(*source);
  rename.target = std::move(*target);
  return rename;
}

Result<bool> has_happened(StoreCatalog& store, const Rename& rename) {
  const auto there = store.collection(rename.to);
  if (!there) return tl::unexpected(there.error());
  return there->uuid == rename.uuid;
}

// Looked at last: whoever became primary meanwhile may have it, or not.
Result<bool> has_settled(Store& store, const Rename& rename) {
  const auto settled = settled_run(store);
  if (!settled) return tl::unexpected(settled.error());
  auto happened = has_happened(store, rename);
  if (!happened) return happened;
  const auto run = run_of(store);
  if (!run) return tl::unexpected(run.error());
  if (*run == *settled) return happened;
  return fail(ErrorCode::kUnavailable, "look at a rename", rename.to, "another run answers",
              "it is tried again");
}

Result<bool> RenameTelling::step(Store& store) {
  if (next_ == Next::kRemove && (documents_.empty() || name_ == gone_from_.size())) {
    next_ = Next::kDrop;
  }
  Status told;
  switch (next_) {
    case Next::kRemove:
      told = remove_some();
      break;
    case Next::kDrop:
      told = drop_names();
      next_ = Next::kDefine;
      break;
    case Next::kDefine:
      told = define(store);
      next_ = Next::kBear;
      break;
    case Next::kBear:
      told = bear_some(store);
      break;
  }
  if (!told) return tl::unexpected(told.error());
  return next_ != Next::kBear || document_ < documents_.size();
}

Status RenameTelling::remove_some() {
  std::vector<DocumentChange> changes;
  const size_t end = std::min(documents_.size(), document_ + limits::kRunStatementsMax);
  for (; document_ < end; ++document_) {
    DocumentChange& change = changes.emplace_back();
    change.kind = DocumentChange::Kind::kRemove;
    change.ns = gone_from_[name_];
    change.id = documents_[document_].id;
  }
  if (document_ == documents_.size()) {
    ++name_;
    document_ = 0;
  }
  return site_.writes.record(std::move(changes));
}

// In one record, the other name last: where both are applied together, a peer sees the new name
// dropped before it is defined anew.
Status RenameTelling::drop_names() {
  std::vector<DocumentChange> changes;
  if (rename_.target.exists) {
    changes.push_back(catalog_change(rename_.to, catalog_drop(rename_.target)));
  }
  changes.push_back(catalog_change(rename_.from, catalog_drop(rename_.source)));
  return site_.writes.record(std::move(changes));
}

Status RenameTelling::define(StoreReader& store) {
  const bson::OwnedValue name = bson::make_string(rename_.to);
  auto shown = store.read(std::string(kCatalogNs), std::span(&name, 1));
  if (!shown) return tl::unexpected(shown.error());
  if (!shown->front()) return {};
  auto is = catalog_entry(Document(*shown->front()));
  if (!is) return tl::unexpected(is.error());
  std::vector<DocumentChange> changes;
  changes.push_back(catalog_change(rename_.to, catalog_definition(*is)));
  return site_.writes.record(std::move(changes));
}

// One that is not there any more was evicted, or has gone around the sidecar.
Status RenameTelling::bear_some(StoreReader& store) {
  std::vector<bson::OwnedValue> ids;
  size_t bytes = 0;
  for (size_t at = document_; at < documents_.size(); ++at) {
    bytes += static_cast<size_t>(documents_[at].bytes);
    const bool is_full = ids.size() == limits::kRunStatementsMax || bytes > limits::kRunBytesMax;
    if (is_full && !ids.empty()) break;
    ids.push_back(documents_[at].id);
  }
  document_ += ids.size();
  if (ids.empty()) return {};
  auto found = store.read(rename_.to, ids);
  if (!found) return tl::unexpected(found.error());
  std::vector<DocumentChange> changes;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!(*found)[i]) continue;
    DocumentChange& change = changes.emplace_back();
    change.kind = DocumentChange::Kind::kInsert;
    change.ns = rename_.to;
    change.id = std::move(ids[i]);
    change.document = std::move(*(*found)[i]);
  }
  return site_.writes.record(std::move(changes));
}

// Some of it may have been told before, births too: they are over, and are told anew.
Result<bool> settle_rename(SiteParts& site, Store& store, const Prepare& prepare) {
  auto rename = rename_of(prepare);
  if (!rename) return tl::unexpected(rename.error());
  auto happened = has_happened(store, *rename);
  if (!happened || !*happened) return happened;
  happened = has_settled(store, *rename);
  if (!happened || !*happened) return happened;
  auto documents = store.list(rename->to, std::numeric_limits<int32_t>::max());
  if (!documents) return tl::unexpected(documents.error());
  const std::vector<std::string> gone_from = {rename->to, rename->from};
  RenameTelling telling(site, std::move(*rename), std::move(*documents), gone_from);
  while (true) {
    auto more = telling.step(store);
    if (!more || !*more) return more ? Result<bool>(true) : more;
  }
}

}  // namespace outrigger
