// What one prepare in doubt turned out to have done, from the oplog or from what the store shows.
#include <algorithm>
#include <set>
#include <unordered_map>

#include "replication/apply/apply_batch.h"
#include "replication/bson/fields.h"
#include "replication/bson/id.h"
#include "replication/outbox/batch.h"
#include "replication/record/catalog.h"
#include "replication/record/oplog_paths.h"
#include "replication/record/record_checks.h"
#include "replication/recovery/judge_paths.h"
#include "replication/recovery/judge_series.h"
#include "replication/recovery/judge_transaction.h"
#include "replication/series/measurement.h"
#include "replication/store/session_token.h"

namespace outrigger {
namespace {

using What = PreparedDocument::What;
using How = SettledPrepare::How;

struct Verdict {
  How how = How::kDropped;
  std::optional<DocumentChange> change;
  bool anew = false;    // `change` is a birth, and what was there before is removed by it
  bool certain = true;  // also of a store that has forgotten earlier writes
};

DocumentChange change_of(const PreparedDocument& prepared, DocumentChange::Kind kind) {
  DocumentChange change;
  change.kind = kind;
  change.ns = prepared.ns;
  change.id = prepared.id;
  return change;
}

DocumentChange whole_change(const PreparedDocument& prepared, DocumentChange::Kind kind,
                            const std::string& stored) {
  DocumentChange change = change_of(prepared, kind);
  change.document = stored;
  return change;
}

// As it was when it was prepared: nobody else wrote to it.
DocumentChange removed(const PreparedDocument& prepared) {
  DocumentChange change = change_of(prepared, DocumentChange::Kind::kRemove);
  if (prepared.removal == Removal::kPlain) return change;
  change.removal = prepared.removal;
  change.document = prepared.document;
  return change;
}

// ---- the oplog knows

std::vector<Path> paths_of(const PreparedDocument& prepared) {
  std::vector<Path> named;
  for (const PreparedPath& path : prepared.paths) named.push_back(path.path);
  return named;
}

// Is one of these at the path, above it or below it?
bool meets(const std::set<Path>& paths, const Path& path) {
  const auto next = paths.lower_bound(path);
  if (next != paths.end() && has_prefix(*next, path)) return true;
  for (Path above = path; !above.empty(); above.pop_back()) {
    if (paths.count(above) > 0) return true;
  }
  return false;
}

// What the update touched. Where the prepare names a path it says it better: of {$inc: {"a.b": 1}}
// that had to make `a` the oplog names `a`, whose value has in it what was added. Nothing: the
// whole document.
std::optional<std::vector<Path>> paths_touched(const PreparedDocument& prepared,
                                               const std::string& o) {
  std::vector<Path> named = paths_of(prepared);
  if (!prepared.whole && !named.empty()) return named;
  auto logged = oplog_update_paths(o);
  if (!logged || named.empty()) return logged;
  const std::set<Path> in_prepare(named.begin(), named.end());
  const std::set<Path> in_log(logged->begin(), logged->end());
  std::erase_if(named, [&](const Path& path) { return !meets(in_log, path); });
  for (Path& path : *logged) {
    if (!meets(in_prepare, path)) named.push_back(std::move(path));
  }
  return named;
}

// What became of a document since the prepare was written.
Verdict difference(const PreparedDocument& prepared, const std::string& document) {
  if (prepared.ns == kCatalogNs) {
    auto change = catalog_difference(prepared, document);
    return change ? Verdict{How::kHappened, std::move(change)} : Verdict();
  }
  const auto write = write_between(prepared.ns, prepared.id, prepared.document, document);
  if (!write) return {};
  if (write->kind != StoreWrite::Kind::kUpdate) {
    return {How::kHappened, whole_change(prepared, DocumentChange::Kind::kReplace, document)};
  }
  DocumentChange change = change_of(prepared, DocumentChange::Kind::kUpdate);
  for (const StoreWrite::Set& set : write->set) {
    PathChange& at = change.changes.emplace_back();
    at.path = set.path;
    at.value = set.value;
  }
  for (const Path& path : write->unset) {
    PathChange& at = change.changes.emplace_back();
    at.kind = Operation::kUnset;
    at.path = path;
  }
  return {How::kHappened, std::move(change)};
}

Verdict update_happened(const PreparedDocument& prepared, const std::string& document,
                        const std::string& o) {
  DocumentChange change = change_of(prepared, DocumentChange::Kind::kUpdate);
  Stored stored(document);
  const std::optional<std::vector<Path>> named = paths_touched(prepared, o);
  const bool is_told = !named && prepared.what == What::kUpdate && !prepared.document.empty();
  if (is_told) return difference(prepared, document);
  if (prepared.what == What::kReplace || !named || stored.is_opaque()) {
    return {How::kHappened, whole_change(prepared, DocumentChange::Kind::kReplace, document)};
  }
  std::set<Path> counted;
  for (const PreparedPath& path : prepared.paths) {
    std::optional<PathChange> added = addition_of(stored, path);
    if (!added) continue;
    counted.insert(path.path);
    change.changes.push_back(std::move(*added));
  }
  for (PathChange& added : additions_in_arrays(stored, prepared.paths)) {
    if (counted.insert(added.path).second) change.changes.push_back(std::move(added));
  }
  add_present_values(change, stored, *named, std::move(counted));
  return {How::kHappened, std::move(change)};
}

// A document that was not there before.
DocumentChange born(const PreparedDocument& prepared, const std::string& stored) {
  const bool replacement = !prepared.document.empty();
  if (prepared.what != What::kUpsert || replacement) {
    return whole_change(prepared, DocumentChange::Kind::kInsert, stored);
  }
  DocumentChange change = whole_change(prepared, DocumentChange::Kind::kUpsert, stored);
  Stored shown(stored);
  for (const PreparedPath& path : prepared.paths) {
    const auto value = shown.value_at(path.path);
    if (path.kind == Operation::kEdit && value && value->type == bson::Type::kArray) {
      PathChange& made = change.changes.emplace_back();
      made.kind = Operation::kEdit;
      made.path = path.path;
      made.value = bson::OwnedValue(*value);
      made.base_known = true;
    }
    // Beneath an array, where its filter made one, there is nothing to count.
    if (path.kind != Operation::kIncrement || !value || !value->is_number()) continue;
    PathChange at;
    at.kind = Operation::kIncrement;
    at.path = path.path;
    at.value = path.value;
    change.changes.push_back(std::move(at));
  }
  return change;
}

Verdict happened(const PreparedDocument& prepared, const OplogWrite& entry,
                 const std::optional<std::string>& stored) {
  switch (entry.kind) {
    case OplogWrite::Kind::kRemove:
      return {How::kHappened, removed(prepared)};
    case OplogWrite::Kind::kInsert:
      return {How::kHappened, born(prepared, stored ? *stored : entry.o)};
    case OplogWrite::Kind::kUpdate:
      // Gone since, although nobody but us may write here: then gone is what is so.
      if (!stored) return {How::kAdopted, change_of(prepared, DocumentChange::Kind::kRemove)};
      return update_happened(prepared, *stored, entry.o);
  }
  return {};
}

// What mongod answered: it will answer a retry of the statement so, too.
std::string answer_of(What what, const OplogWrite& entry) {
  const bool update = what != What::kInsert && what != What::kRemove;
  const bool inserted = entry.kind == OplogWrite::Kind::kInsert;
  bson::Writer answer;
  answer.int64("n", 1);
  if (update) answer.int64("nModified", inserted ? 0 : 1);
  if (update && inserted) answer.open_array("upserted").value("0", entry.id).close();
  return answer.finish();
}

// ---- only the store shows

bool shows(Stored& stored, const PreparedPath& path) {
  const auto value = stored.value_at(path.path);
  if (path.kind == Operation::kUnset) return !value;
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
           return path.kind == Operation::kAssign || path.kind == Operation::kUnset;
         });
}

Verdict uncertain(Verdict verdict) {
  verdict.certain = false;
  return verdict;
}

Verdict update_in_doubt(const PreparedDocument& prepared, const std::string& document,
                        bool put_back) {
  if (!prepared.document.empty()) return uncertain(difference(prepared, document));
  if (!prepared.whole && prepared.paths.empty()) return {};  // it could change nothing
  Stored stored(document);
  // Where it was written over in part, what it assigned no longer shows all of it.
  const bool literal = only_assigns(prepared) && !put_back;
  if (literal && !std::all_of(prepared.paths.begin(), prepared.paths.end(),
                              [&](const PreparedPath& path) { return shows(stored, path); })) {
    return {};
  }
  const How how = literal ? How::kHappened : How::kAdopted;
  if (prepared.whole || stored.is_opaque()) {
    return uncertain({how, whole_change(prepared, DocumentChange::Kind::kReplace, document)});
  }
  DocumentChange change = change_of(prepared, DocumentChange::Kind::kUpdate);
  add_present_values(change, stored, paths_of(prepared));
  // Not where more is recorded than was assigned: an array in the way is recorded whole.
  const bool exact = std::all_of(change.changes.begin(), change.changes.end(), [&](const auto& at) {
    const auto is_it = [&](const PreparedPath& path) { return path.path == at.path; };
    return std::any_of(prepared.paths.begin(), prepared.paths.end(), is_it);
  });
  return {how, std::move(change), false, literal && exact};
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

// `was_not_there`: the document of an upsert, when the prepare was written. `put_back`: the store
// had forgotten earlier writes, and they were written over whatever there was of this one.
Verdict in_doubt(const PreparedDocument& prepared, const std::optional<std::string>& stored,
                 bool was_not_there, bool put_back) {
  const auto same = [&] {
    const std::string wanted = without_id(prepared.document);
    return stored &&
           bson::equal_unordered(bson::Document(without_id(*stored)), bson::Document(wanted));
  };
  switch (prepared.what) {
    case What::kInsert:
      if (!stored || document_digest(bson::Document(*stored)) != prepared.document) return {};
      return {How::kHappened, whole_change(prepared, DocumentChange::Kind::kInsert, *stored)};
    case What::kRemove:
      if (stored) return {};
      return {How::kHappened, removed(prepared)};
    case What::kReplace:
      if (!stored) return {};  // there was nothing to replace
      if (same()) break;
      if (!put_back && !has_empty_timestamp(prepared.document)) return {};
      return uncertain({put_back ? How::kAdopted : How::kHappened,
                        whole_change(prepared, DocumentChange::Kind::kReplace, *stored)});
    case What::kUpsert:
      if (!stored) return {};
      if (was_not_there) return uncertain({How::kHappened, born(prepared, *stored)});
      // Made or found? A birth beside the one that peers know would be no outcome of either.
      return {How::kAdopted, whole_change(prepared, DocumentChange::Kind::kInsert, *stored), true,
              false};
    case What::kUpdate:
      if (stored) return update_in_doubt(prepared, *stored, put_back);
      if (only_assigns(prepared)) return {};  // there was nothing to assign to
      break;
  }
  if (!stored)
    return uncertain({How::kAdopted, change_of(prepared, DocumentChange::Kind::kRemove)});
  return {How::kHappened, whole_change(prepared, DocumentChange::Kind::kReplace, *stored)};
}

// MongoDB refuses the write, whatever it says: nothing can have happened.
bool cannot_be(const PreparedDocument& prepared) {
  return !bson::why_no_id(prepared.id.view()).empty() || !wrong_with_namespace(prepared.ns).empty();
}

// The entries of the prepare's session by the document they are of.
using Entries = std::unordered_map<std::string, const OplogWrite*>;

Entries entries_of(const Prepare& prepare, const std::vector<OplogWrite>& oplog) {
  Entries entries;
  for (const OplogWrite* write : writes_of(prepare.session, oplog)) {
    entries.emplace(outbox::row_key(write->ns, bson::canonical_key(write->id.view())), write);
  }
  return entries;
}

// An upsert is mongod's to name where its filter does so in a way of its own.
const OplogWrite* entry_of(const Entries& entries, const Prepare& prepare,
                           PreparedDocument& prepared) {
  const auto found =
      entries.find(outbox::row_key(prepared.ns, bson::canonical_key(prepared.id.view())));
  if (found != entries.end()) return found->second;
  if (prepared.what != What::kUpsert || prepare.documents.size() != 1 || entries.size() != 1) {
    return nullptr;
  }
  prepared.id = entries.begin()->second->id;
  return entries.begin()->second;
}

Result<Verdict> judge(StoreReader& store, const PreparedDocument& prepared, const OplogWrite* entry,
                      bool recognisable, bool was_not_there, bool put_back) {
  if (cannot_be(prepared) || (recognisable && entry == nullptr)) return Verdict{};
  auto stored = store.read(prepared.ns, std::span(&prepared.id, 1));
  if (!stored && stored.error().code == ErrorCode::kInvalidArgument) {
    // No document can be there, so none was written, or all have gone since.
    if (entry == nullptr) return Verdict{};
    stored = std::vector<std::optional<std::string>>(1);
  }
  if (!stored) return tl::unexpected(stored.error());
  Verdict verdict = entry != nullptr ? happened(prepared, *entry, stored->front())
                                     : in_doubt(prepared, stored->front(), was_not_there, put_back);
  if (verdict.change) tell_version(*verdict.change, prepared, stored->front());
  return verdict;
}

}  // namespace

Result<SettledPrepare> judge_prepare(StoreReader& store, const Prepare& prepare,
                                     const std::vector<OplogWrite>* oplog, bool put_back) {
  if (prepare.transaction) return judge_transaction(store, prepare, oplog, put_back);
  SettledPrepare settled;
  // Whoever knows no oplog looks before it upserts (and numbers nothing).
  const bool looked = !is_numbered(prepare.session);
  const bool recognisable = oplog != nullptr && !looked;
  const std::vector<std::string> keys = retry_keys(prepare);
  const Entries entries = recognisable ? entries_of(prepare, *oplog) : Entries();
  for (size_t i = 0; i < prepare.documents.size(); ++i) {
    PreparedDocument prepared = prepare.documents[i];
    if (series::holds_measurements(prepared.ns)) {
      auto there = is_inserted(store, prepared);
      if (!there) return tl::unexpected(there.error());
      if (!*there) continue;
      if (!keys.empty()) settled.retries.push_back({keys[i], answer_of_insert()});
      if (settled.how == How::kDropped) settled.how = How::kHappened;
      settled.changes.push_back(
          whole_change(prepared, DocumentChange::Kind::kInsert, prepared.document));
      continue;
    }
    const OplogWrite* entry = entry_of(entries, prepare, prepared);
    auto verdict = judge(store, prepared, entry, recognisable, looked, put_back);
    if (!verdict) return tl::unexpected(verdict.error());
    settled.certain = settled.certain && verdict->certain;
    if (entry != nullptr && verdict->change && !keys.empty()) {
      settled.retries.push_back({keys[i], answer_of(prepared.what, *entry)});
    }
    if (!verdict->change) continue;
    if (verdict->how == How::kAdopted || settled.how == How::kDropped) settled.how = verdict->how;
    if (verdict->anew) {
      settled.changes.push_back(change_of(prepared, DocumentChange::Kind::kRemove));
    }
    settled.changes.push_back(std::move(*verdict->change));
  }
  return settled;
}

}  // namespace outrigger
