#include "replication/recovery/judge_transaction.h"

#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/bson/number.h"
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

// What an increment added to is what is there now less its number; where that would not lead back
// to the same bytes, the value itself is what is recorded; and where there is none any more, as
// somebody has unset it around the sidecar since, that.
void tell_base(PathChange& increment, bson::PathFinder& stored) {
  const auto now = stored.find(increment.path);
  if (!now) {
    increment.kind = Operation::kUnset;
    increment.value = {};
    return;
  }
  const bson::Value delta = increment.value.view();
  if (now->is_number()) {
    bson::OwnedValue base = bson::add(*now, bson::negate(delta).view()).value;
    const bson::Sum again = bson::increment(base.view(), delta);
    if (!again.clamped && again.value == bson::OwnedValue(*now)) {
      increment.base_known = true;
      increment.base = std::move(base);
      return;
    }
  }
  increment.kind = Operation::kAssign;
  increment.value = bson::OwnedValue(*now);
}

DocumentChange change_of(const PreparedDocument& prepared) {
  DocumentChange change;
  change.kind = kind_of(prepared.what);
  change.ns = prepared.ns;
  change.id = prepared.id;
  const bool has_document = prepared.what != What::kUpdate && prepared.what != What::kRemove;
  if (has_document) change.document = prepared.document;
  for (const PreparedPath& path : prepared.paths) {
    PathChange& at = change.changes.emplace_back();
    at.kind = path.kind;
    at.path = path.path;
    if (path.kind != Operation::kUnset) at.value = path.value;
  }
  return change;
}

bool increments(const DocumentChange& change) {
  return change.kind == DocumentChange::Kind::kUpdate &&
         std::any_of(change.changes.begin(), change.changes.end(),
                     [](const PathChange& at) { return at.kind == Operation::kIncrement; });
}

Result<DocumentChange> happened(StoreReader& store, const PreparedDocument& prepared) {
  DocumentChange change = change_of(prepared);
  if (!increments(change)) return change;
  auto stored = store.read(prepared.ns, std::span(&prepared.id, 1));
  const bool is_none = !stored && stored.error().code == ErrorCode::kInvalidArgument;
  if (!stored && !is_none) return tl::unexpected(stored.error());
  if (is_none || !stored->front()) {  // gone since, although nobody but us may write here
    change.kind = DocumentChange::Kind::kRemove;
    change.changes.clear();
    return change;
  }
  bson::PathFinder finder{bson::Document(*stored->front())};
  for (PathChange& at : change.changes) {
    if (at.kind == Operation::kIncrement) tell_base(at, finder);
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
    auto change = happened(store, prepared);
    if (!change) return tl::unexpected(change.error());
    settled.changes.push_back(std::move(*change));
  }
  settled.retries.push_back(commit_entry(commit_key(prepare.session)));
  return settled;
}

}  // namespace outrigger
