#include "replication/recovery/judge_transaction.h"

#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/record/catalog.h"
#include "replication/recovery/judge_paths.h"
#include "replication/store/session_token.h"

namespace outrigger {
namespace {

using What = PreparedDocument::What;

DocumentChange::Kind kind_of(What what) {
  switch (what) {
    case What::kInsert:
      return DocumentChange::Kind::kInsert;
    case What::kUpsert:
      return DocumentChange::Kind::kUpsert;
    case What::kReplace:
      return DocumentChange::Kind::kReplace;
    case What::kRemove:
      return DocumentChange::Kind::kRemove;
    case What::kUpdate:
      break;
  }
  return DocumentChange::Kind::kUpdate;
}

// What was added to is what is there now less what was added. Where that does not lead back to the
// same bytes, the value itself is what is recorded; and where there is none any more, as somebody
// has unset it around the sidecar since, that.
PathChange added_to(Stored& stored, const PreparedPath& prepared) {
  if (auto added = addition_of(stored, prepared)) return std::move(*added);
  PathChange at;
  at.path = prepared.path;
  const auto now = stored.value_at(prepared.path);
  at.kind = now ? Operation::kAssign : Operation::kUnset;
  if (now) at.value = bson::OwnedValue(*now);
  return at;
}

bool adds(Operation kind) { return kind == Operation::kIncrement || kind == Operation::kEdit; }

DocumentChange change_of(const PreparedDocument& prepared) {
  DocumentChange change;
  change.kind = kind_of(prepared.what);
  change.ns = prepared.ns;
  change.id = prepared.id;
  const bool yields = prepared.removal != Removal::kPlain;
  const bool has_document =
      yields || (prepared.what != What::kUpdate && prepared.what != What::kRemove);
  change.removal = prepared.removal;
  change.is_version = prepared.told_whole;
  if (has_document) change.document = prepared.document;
  for (const PreparedPath& path : prepared.paths) {
    PathChange& at = change.changes.emplace_back();
    at.kind = path.kind;
    at.path = path.path;
    if (path.kind != Operation::kUnset) at.value = path.value;
    at.base_known = path.kind == Operation::kEdit;  // made by an upsert: of nothing
  }
  return change;
}

// Nothing has become another by it: that is of collections alone.
Result<std::optional<DocumentChange>> catalog_happened(StoreReader& store,
                                                       const PreparedDocument& prepared) {
  const auto shown = store.read(prepared.ns, std::span(&prepared.id, 1));
  if (!shown) return tl::unexpected(shown.error());
  if (!shown->front()) return std::optional<DocumentChange>();
  return catalog_difference(prepared, *shown->front());
}

Result<DocumentChange> happened(StoreReader& store, const PreparedDocument& prepared) {
  DocumentChange change = change_of(prepared);
  const bool looks = prepared.what == What::kUpdate &&
                     std::any_of(prepared.paths.begin(), prepared.paths.end(),
                                 [](const PreparedPath& path) { return adds(path.kind); });
  if (!looks) return change;
  auto stored = store.read(prepared.ns, std::span(&prepared.id, 1));
  const bool is_none = !stored && stored.error().code == ErrorCode::kInvalidArgument;
  if (!stored && !is_none) return tl::unexpected(stored.error());
  if (is_none || !stored->front()) {  // gone since, although nobody but us may write here
    change.kind = DocumentChange::Kind::kRemove;
    change.changes.clear();
    return change;
  }
  Stored now(*stored->front());
  for (size_t i = 0; i < prepared.paths.size(); ++i) {
    if (adds(prepared.paths[i].kind)) change.changes[i] = added_to(now, prepared.paths[i]);
  }
  return change;
}

// As of documents that were written one by one.
Prepare taken_apart(const Prepare& prepare) {
  Prepare out = prepare;
  out.transaction = false;
  for (PreparedDocument& document : out.documents) {
    if (document.what == What::kInsert) {
      document.document = document_digest(bson::Document(document.document));
    } else if (document.what == What::kUpsert) {
      document.document.clear();
      document.whole = true;
    }
  }
  return out;
}

}  // namespace

RetryEntry commit_entry(std::string key) {
  return {std::move(key), bson::Writer().int32("committed", 1).finish()};
}

Result<SettledPrepare> judge_transaction(StoreReader& store, const Prepare& prepare,
                                         const std::vector<OplogWrite>* oplog, bool put_back) {
  if (oplog == nullptr) return judge_prepare(store, taken_apart(prepare), nullptr, put_back);
  SettledPrepare settled;
  if (!is_committed(prepare.session, *oplog)) return settled;
  settled.how = SettledPrepare::How::kHappened;
  for (const PreparedDocument& prepared : prepare.documents) {
    if (prepared.ns == kCatalogNs) {
      auto made = catalog_happened(store, prepared);
      if (!made) return tl::unexpected(made.error());
      if (*made) settled.changes.push_back(std::move(**made));
      continue;
    }
    auto change = happened(store, prepared);
    if (!change) return tl::unexpected(change.error());
    settled.changes.push_back(std::move(*change));
  }
  settled.retries.push_back(commit_entry(commit_key(prepare.session)));
  return settled;
}

}  // namespace outrigger
