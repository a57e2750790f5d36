// What one prepare in doubt turned out to have done, from the oplog or from what the store shows.
#include <algorithm>

#include "replication/bson/number.h"
#include "replication/oplog_paths.h"
#include "replication/recovery.h"

namespace outrigger {
namespace {

using What = PreparedDocument::What;
using How = SettledPrepare::How;

struct Verdict {
  How how = How::kDropped;
  std::optional<DocumentChange> change;
};

std::optional<bson::Value> value_at(const std::string& document, const Path& path) {
  std::optional<bson::Value> value(bson::Value{bson::Type::kDocument, document});
  for (const std::string& name : path) {
    if (value->type != bson::Type::kDocument) return std::nullopt;
    value = value->as_document().find(name);
    if (!value) return std::nullopt;
  }
  return value;
}

// A path that leads into an array cannot be recorded: the array is the value.
Path recordable(const std::string& document, const Path& path) {
  Path shorter;
  for (const std::string& name : path) {
    shorter.push_back(name);
    const auto value = value_at(document, shorter);
    if (value && value->type == bson::Type::kArray) break;
  }
  return shorter;
}

DocumentChange change_of(const PreparedDocument& prepared, DocumentChange::Kind kind) {
  DocumentChange change;
  change.kind = kind;
  change.ns = prepared.ns;
  change.id = prepared.id;
  return change;
}

void add_present_value(DocumentChange& change, const std::string& stored, const Path& named) {
  PathChange at;
  at.path = recordable(stored, named);
  const bool known = std::any_of(change.changes.begin(), change.changes.end(),
                                 [&](const PathChange& other) { return other.path == at.path; });
  if (known || at.path.empty()) return;
  const auto value = value_at(stored, at.path);
  at.kind = value ? PathChange::Kind::kSet : PathChange::Kind::kUnset;
  if (value) at.value = bson::OwnedValue(*value);
  change.changes.push_back(std::move(at));
}

// An increment that certainly happened: the base is what is there now less the delta.
bool add_increment(DocumentChange& change, const std::string& stored,
                   const PreparedPath& prepared) {
  const auto now = value_at(stored, prepared.path);
  if (!now || !now->is_number() || !prepared.value.view().is_number()) return false;
  const bson::Sum before = bson::add(*now, bson::negate(prepared.value.view()).view());
  if (before.clamped) return false;
  PathChange at;
  at.kind = PathChange::Kind::kIncrement;
  at.path = prepared.path;
  at.value = prepared.value;
  at.base_known = true;
  at.base = before.value;
  change.changes.push_back(std::move(at));
  return true;
}

DocumentChange whole_change(const PreparedDocument& prepared, DocumentChange::Kind kind,
                            const std::string& stored) {
  DocumentChange change = change_of(prepared, kind);
  change.document = stored;
  return change;
}

// ---- the oplog knows

Verdict update_happened(const PreparedDocument& prepared, const std::string& stored,
                        const std::string& o) {
  DocumentChange change = change_of(prepared, DocumentChange::Kind::kUpdate);
  if (prepared.what == What::kReplace) {
    return {How::kHappened, whole_change(prepared, DocumentChange::Kind::kReplace, stored)};
  }
  std::vector<Path> named;
  for (const PreparedPath& path : prepared.paths) named.push_back(path.path);
  if (prepared.whole || prepared.paths.empty()) {
    auto paths = oplog_update_paths(o);
    if (!paths) {
      return {How::kHappened, whole_change(prepared, DocumentChange::Kind::kReplace, stored)};
    }
    named = std::move(*paths);
  }
  for (const PreparedPath& path : prepared.paths) {
    if (path.kind == PreparedPath::Kind::kIncrement) (void)add_increment(change, stored, path);
  }
  for (const Path& path : named) add_present_value(change, stored, path);
  return {How::kHappened, std::move(change)};
}

Verdict happened(const PreparedDocument& prepared, const OplogWrite& entry,
                 const std::optional<std::string>& stored) {
  switch (entry.kind) {
    case OplogWrite::Kind::kRemove:
      return {How::kHappened, change_of(prepared, DocumentChange::Kind::kRemove)};
    case OplogWrite::Kind::kInsert: {
      const bool upsert = prepared.what == What::kUpsert;
      DocumentChange change = whole_change(
          prepared, upsert ? DocumentChange::Kind::kUpsert : DocumentChange::Kind::kInsert,
          stored ? *stored : entry.o);
      for (const PreparedPath& path : prepared.paths) {
        if (!upsert || path.kind != PreparedPath::Kind::kIncrement) continue;
        PathChange at;
        at.kind = PathChange::Kind::kIncrement;
        at.path = path.path;
        at.value = path.value;
        at.base_known = true;
        change.changes.push_back(std::move(at));
      }
      return {How::kHappened, std::move(change)};
    }
    case OplogWrite::Kind::kUpdate:
      // Gone since, although nobody but us may write here: then gone is what is so.
      if (!stored) return {How::kAdopted, change_of(prepared, DocumentChange::Kind::kRemove)};
      return update_happened(prepared, *stored, entry.o);
  }
  return {};
}

bool is_of(const OplogWrite& entry, const Prepare& prepare, const PreparedDocument& prepared) {
  const std::string_view lsid(reinterpret_cast<const char*>(prepare.session.lsid.data()),
                              prepare.session.lsid.size());
  if (entry.lsid_id != lsid || entry.txn_number != prepare.session.txn_number) return false;
  if (entry.ns != prepared.ns ||
      bson::canonical_key(entry.id.view()) != bson::canonical_key(prepared.id.view())) {
    return false;
  }
  const auto& ours = prepare.session.stmt_ids;
  return entry.stmt_ids.empty() || ours.empty() ||
         std::any_of(entry.stmt_ids.begin(), entry.stmt_ids.end(), [&](int32_t stmt) {
           return std::find(ours.begin(), ours.end(), stmt) != ours.end();
         });
}

// What mongod answered: it will answer a retry of the statement so, too.
RetryEntry retry_of(const Prepare& prepare, size_t document, const OplogWrite& entry) {
  const PreparedDocument& prepared = prepare.documents[document];
  const bool update = prepared.what != What::kInsert && prepared.what != What::kRemove;
  const bool inserted = entry.kind == OplogWrite::Kind::kInsert;
  bson::Writer answer;
  answer.int64("n", 1);
  if (update) answer.int64("nModified", inserted ? 0 : 1);
  if (update && inserted) answer.open_array("upserted").value("0", prepared.id).close();
  const std::string_view lsid(reinterpret_cast<const char*>(prepare.session.lsid.data()),
                              prepare.session.lsid.size());
  return {retry_key(lsid, prepare.session.txn_number, prepare.session.stmt_ids[document]),
          answer.finish()};
}

// ---- only the store shows

bool shows(const std::string& stored, const PreparedPath& path) {
  const auto value = value_at(stored, path.path);
  if (path.kind == PreparedPath::Kind::kUnset) return !value;
  if (!value) return false;
  if (value->type == path.value.type && value->is_container()) {
    // The store numbers the elements of arrays itself.
    bson::Writer found;
    bson::Writer wanted;
    found.value("v", *value);
    wanted.value("v", path.value);
    const std::string found_bytes = found.finish();
    const std::string wanted_bytes = wanted.finish();
    return bson::equal_unordered(bson::Document(found_bytes), bson::Document(wanted_bytes));
  }
  return *value == path.value.view();
}

bool only_assigns(const PreparedDocument& prepared) {
  return !prepared.whole &&
         std::all_of(prepared.paths.begin(), prepared.paths.end(), [](const PreparedPath& path) {
           return path.kind == PreparedPath::Kind::kSet || path.kind == PreparedPath::Kind::kUnset;
         });
}

Verdict update_in_doubt(const PreparedDocument& prepared, const std::string& stored) {
  if (!prepared.whole && prepared.paths.empty()) return {};  // it could change nothing
  const bool literal = only_assigns(prepared);
  if (literal && !std::all_of(prepared.paths.begin(), prepared.paths.end(),
                              [&](const PreparedPath& path) { return shows(stored, path); })) {
    return {};
  }
  if (prepared.whole) {
    return {How::kAdopted, whole_change(prepared, DocumentChange::Kind::kReplace, stored)};
  }
  DocumentChange change = change_of(prepared, DocumentChange::Kind::kUpdate);
  for (const PreparedPath& path : prepared.paths) add_present_value(change, stored, path.path);
  return {literal ? How::kHappened : How::kAdopted, std::move(change)};
}

// The content of a document: a replacement usually does not name its _id.
std::string without_id(const std::string& document) {
  bson::Writer out;
  for (const bson::Element& field : bson::Document(document)) {
    if (field.name != "_id") out.element(field);
  }
  return out.finish();
}

// mongod fills empty timestamps in: what it will store cannot be known beforehand.
bool has_empty_timestamp(const std::string& document) {
  for (const bson::Element& field : bson::Document(document)) {
    if (field.value.type == bson::Type::kTimestamp &&
        field.value.bytes == std::string_view("\0\0\0\0\0\0\0\0", 8)) {
      return true;
    }
  }
  return false;
}

Verdict in_doubt(const PreparedDocument& prepared, const std::optional<std::string>& stored) {
  const auto same = [&] {
    const std::string wanted = without_id(prepared.document);
    return stored &&
           bson::equal_unordered(bson::Document(without_id(*stored)), bson::Document(wanted));
  };
  switch (prepared.what) {
    case What::kInsert:
      if (!same()) return {};
      return {How::kHappened, whole_change(prepared, DocumentChange::Kind::kInsert, *stored)};
    case What::kRemove:
      if (stored) return {};
      return {How::kHappened, change_of(prepared, DocumentChange::Kind::kRemove)};
    case What::kReplace:
      if (stored && !same() && !has_empty_timestamp(prepared.document)) return {};
      break;
    case What::kUpsert:
      // Not there: it did not happen. There: whether this made it cannot be told, and need not be.
      if (!stored) return {};
      return {How::kAdopted, whole_change(prepared, DocumentChange::Kind::kUpsert, *stored)};
    case What::kUpdate:
      if (stored) return update_in_doubt(prepared, *stored);
      if (only_assigns(prepared)) return {};  // there was nothing to assign to
      break;
  }
  if (!stored) return {How::kAdopted, change_of(prepared, DocumentChange::Kind::kRemove)};
  return {How::kHappened, whole_change(prepared, DocumentChange::Kind::kReplace, *stored)};
}

}  // namespace

Result<SettledPrepare> judge_prepare(Store& store, const Prepare& prepare,
                                     const std::vector<OplogWrite>* oplog) {
  SettledPrepare settled;
  const bool recognisable = oplog != nullptr && prepare.session.txn_number >= 0;
  for (size_t i = 0; i < prepare.documents.size(); ++i) {
    const PreparedDocument& prepared = prepare.documents[i];
    auto stored = store.read(prepared.ns, std::span(&prepared.id, 1));
    if (!stored) return tl::unexpected(stored.error());
    Verdict verdict;
    if (recognisable) {
      const auto entry = std::find_if(oplog->begin(), oplog->end(), [&](const OplogWrite& write) {
        return is_of(write, prepare, prepared);
      });
      if (entry != oplog->end()) {
        verdict = happened(prepared, *entry, stored->front());
        if (prepare.session.stmt_ids.size() == prepare.documents.size()) {
          settled.retries.push_back(retry_of(prepare, i, *entry));
        }
      }
    } else {
      verdict = in_doubt(prepared, stored->front());
    }
    if (!verdict.change) continue;
    if (verdict.how == How::kAdopted || settled.how == How::kDropped) settled.how = verdict.how;
    settled.changes.push_back(std::move(*verdict.change));
  }
  return settled;
}

}  // namespace outrigger
