#include "replication/store/memory/memory_store.h"

#include <algorithm>

#include "replication/bson/id.h"
#include "replication/store/memory/memory_document.h"
#include "replication/store/store_errors.h"

namespace outrigger {
namespace {

const std::string kOwnSession = "memory-store-own";  // 16 bytes
constexpr int32_t kValidatorSaysNo = 121;

WriteOutcome rejected(int32_t code, std::string message) {
  return {WriteOutcome::Kind::kRejected, code, std::move(message), false};
}

std::string with_id(const StoreWrite& write) {
  const bson::Document document(write.document);
  if (document.has("_id")) return write.document;
  return bson::Writer().value("_id", write.id).append_all(document).finish();
}

bool starts_with(const Path& path, const Path& prefix) {
  return path.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

bool paths_conflict(const StoreWrite& write) {
  std::vector<Path> paths = write.unset;
  for (const StoreWrite::Set& set : write.set) paths.push_back(set.path);
  for (size_t i = 0; i < paths.size(); ++i) {
    for (size_t j = 0; j < paths.size(); ++j) {
      if (i != j && starts_with(paths[i], paths[j])) return true;
    }
  }
  return false;
}

bool has_plain_paths(const StoreWrite& write) {
  return std::all_of(write.unset.begin(), write.unset.end(), is_dotted_path) &&
         std::all_of(write.set.begin(), write.set.end(),
                     [](const StoreWrite::Set& s) { return is_dotted_path(s.path); });
}

}  // namespace

MemoryStore::MemoryStore() {
  info_.kind = StoreKind::kSingleMember;
  info_.set_name = "rs0";
  info_.hosts = {"memory:27017"};
  info_.me = "memory:27017";
  info_.version = "6.0.5";
  info_.wire_version_max = 17;
  info_.process_id = std::string(12, 'p');
  info_.writable = true;
  info_.session_timeout_minutes = 30;
}

bool MemoryStore::is_view(const std::string& ns) const {
  const auto info = collections_.find(ns);
  return info != collections_.end() && info->second.type == CollectionInfo::Type::kView;
}

Status MemoryStore::ping() {
  const MutexLock lock(mutex_);
  return admit("ping store");
}

Status MemoryStore::wait_available(Duration) {
  const MutexLock lock(mutex_);
  return admit("wait for store");
}

Result<StoreInfo> MemoryStore::info() {
  const MutexLock lock(mutex_);
  if (auto ok = admit("look at store"); !ok) return tl::unexpected<Error>(ok.error());
  return info_;
}

Result<std::vector<std::string>> MemoryStore::missing_rights() {
  const MutexLock lock(mutex_);
  if (auto ok = admit("check rights on store"); !ok) return tl::unexpected<Error>(ok.error());
  return missing_rights_;
}

Result<std::string> MemoryStore::forbidden(const std::string& ns) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("check rights on store"); !ok) return tl::unexpected<Error>(ok.error());
  return may_write(ns) ? std::string() : "find on " + ns + " (role readWrite)";
}

Result<std::vector<std::optional<std::string>>> MemoryStore::read(
    const std::string& ns, std::span<const bson::OwnedValue> ids) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("read documents"); !ok) return tl::unexpected<Error>(ok.error());
  for (const bson::OwnedValue& id : ids) {
    if (bson::why_no_id(id.view()).empty()) continue;
    return fail(ErrorCode::kInvalidArgument, "read documents", ns, "a value that can be no _id");
  }
  if (is_view(ns)) {
    return fail(ErrorCode::kInvalidArgument, "read documents", ns,
                "what has this name here is no collection");
  }
  if (!may_read(ns)) {
    return fail(ErrorCode::kRefused, "read documents", ns, "not authorized (code 13)");
  }
  reads_ += ids.size();
  std::vector<std::optional<std::string>> found;
  for (const bson::OwnedValue& id : ids) {
    const auto it = documents_.find(memory_key(ns, id.view()));
    found.push_back(it == documents_.end() ? std::nullopt : std::optional(it->second));
  }
  return found;
}

Result<StoreFound> MemoryStore::find(const std::string& database, const std::string& command) {
  static_cast<void>(command);
  return fail(ErrorCode::kUnsupported, "find documents", database,
              "a store in memory has no query language");
}

Status MemoryStore::look(
    const std::string& ns, std::span<const bson::OwnedValue> ids,
    const std::optional<std::vector<std::string>>& fields,
    const std::function<void(size_t index, const bson::Document& document)>& visit) {
  std::vector<std::optional<std::string>> found;
  {
    auto whole = read(ns, ids);
    if (!whole) return tl::unexpected<Error>(whole.error());
    found = std::move(*whole);
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) continue;
    bson::Writer part;
    for (const bson::Element& element : bson::Document(*found[i])) {
      const bool asked = !fields || element.name == "_id" ||
                         std::find(fields->begin(), fields->end(), element.name) != fields->end();
      if (asked) part.element(element);
    }
    const std::string bytes = part.finish();
    shown_bytes_ += bytes.size();
    visit(i, bson::Document(bytes));
  }
  return {};
}

Applied MemoryStore::apply_in_order(std::span<const StoreWrite> writes) {
  const std::string step = "apply to store";
  const MutexLock lock(mutex_);
  Applied applied;
  const auto stop = [&](ErrorCode code, const char* reason) {
    applied.stopped = Error{code, step, "memory store", reason, ""};
    return std::move(applied);
  };
  if (!std::all_of(writes.begin(), writes.end(), has_plain_paths)) {
    return stop(ErrorCode::kInvalidArgument, "a path that cannot be written with dots");
  }
  if (auto ok = admit(step); !ok) return stop(ok.error().code, "told to fail");
  ++applies_;
  for (const StoreWrite& write : writes) {
    if (crashes_at_next_write()) return stop(ErrorCode::kUnavailable, "told to crash");
    const auto refused = rejection(memory_key(write.ns, write.id.view()));
    if (refused && store_error_passes(refused->code)) {
      return stop(ErrorCode::kUnavailable, "not now");
    }
    applied.outcomes.push_back(apply_one(write));
    if (seen_) seen_(write);
  }
  if (!writes.empty() && crashes_now()) {
    return stop(ErrorCode::kUnavailable, "told to crash before that is journaled");
  }
  return applied;
}

Result<std::vector<size_t>> MemoryStore::against_validator(const std::string& ns,
                                                           std::span<const bson::OwnedValue> ids) {
  if (Status admitted = admit("ask the validator"); !admitted) {
    return tl::unexpected(admitted.error());
  }
  const MutexLock lock(mutex_);
  std::vector<size_t> refused;
  for (size_t i = 0; i < ids.size(); ++i) {
    const MemoryKey at = memory_key(ns, ids[i].view());
    const auto no = rejection(at);
    if (no && no->code == kValidatorSaysNo && documents_.count(at) > 0) refused.push_back(i);
  }
  return refused;
}

std::string MemoryStore::process_id() const {
  const MutexLock lock(mutex_);
  return info_.process_id;
}

WriteOutcome MemoryStore::apply_one(const StoreWrite& write) {
  const MemoryKey at = memory_key(write.ns, write.id.view());
  constexpr int32_t kIllegalOperation = 20;
  ++applied_;
  if (is_view(write.ns)) return rejected(kIllegalOperation, "what has this name here is a view");
  if (!may_write(write.ns)) {
    return rejected(13, kLacksRights + std::string("insert on ") + write.ns);
  }
  const auto no = rejection(at);
  const bool noted = no && no->code == kValidatorSaysNo;
  if (no && !noted) return *no;
  if (write.kind == StoreWrite::Kind::kRemove) {
    documents_.erase(at);
    return {};
  }
  const auto there = documents_.find(at);
  if (write.kind == StoreWrite::Kind::kUpdate && there == documents_.end()) {
    return {WriteOutcome::Kind::kNotMatched, 0, {}, false};
  }
  if (write.kind == StoreWrite::Kind::kInsert && there != documents_.end()) {
    return rejected(11000, "E11000 duplicate key error, _id");
  }
  std::string document;
  if (write.kind != StoreWrite::Kind::kUpdate) {
    document = with_id(write);
  } else {
    document = there->second;
    if (auto outcome = update(write, document); !outcome.ok()) return outcome;
  }
  if (document.size() > bson::kStoredBytesMax) return rejected(10334, "larger than 16 MiB");
  if (auto outcome = judge(bson::Document(document)); !outcome.ok()) return outcome;
  if (std::string words = clash_of(write.ns, bson::Document(document)); !words.empty()) {
    return rejected(11000, std::move(words));
  }
  documents_[at] = std::move(document);
  if (noted) return {WriteOutcome::Kind::kOk, 0, no->message, true};
  return {};
}

WriteOutcome MemoryStore::update(const StoreWrite& write, std::string& document) {
  if (paths_conflict(write)) return rejected(40, "two paths conflict");
  for (const StoreWrite::Set& set : write.set) {
    auto next = with_field(bson::Document(document), set.path, set.value.view());
    if (!next) return rejected(28, "a value stands on the path " + dotted(set.path));
    document = std::move(*next);
  }
  for (const Path& path : write.unset) document = without_field(bson::Document(document), path);
  return {};
}

Status MemoryStore::wait_journaled() {
  const MutexLock lock(mutex_);
  const std::string step = "wait for the journal";
  if (auto ok = admit(step); !ok) return ok;
  if (!crashes_at_next_write()) return {};
  return fail(ErrorCode::kUnavailable, step, "memory store", "told to crash");
}

Status MemoryStore::wait_settled() {
  {
    const MutexLock lock(mutex_);
    ++settled_waits_;
    if (auto has = majority(); !has) return has;
  }
  return wait_journaled();
}

size_t MemoryStore::settled_waits() const {
  const MutexLock lock(mutex_);
  return settled_waits_;
}

std::vector<std::string> MemoryStore::own_sessions() const {
  const MutexLock lock(mutex_);
  if (info_.kind == StoreKind::kStandalone || applies_ == 0) return {};
  return {kOwnSession};
}

Result<std::vector<NamespaceCount>> MemoryStore::replicated_namespaces(
    const NamespaceFilter& filter) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("list collections"); !ok) return tl::unexpected<Error>(ok.error());
  std::map<std::string, int64_t> counted;
  for (const auto& [at, bytes] : documents_) ++counted[at.first];
  std::vector<NamespaceCount> found;
  for (const auto& [ns, documents] : counted) {
    if (filter(ns)) found.push_back({ns, documents});
  }
  return found;
}

Result<CollectionInfo> MemoryStore::collection(const std::string& ns) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("look at collection"); !ok) return tl::unexpected<Error>(ok.error());
  CollectionInfo info;
  const auto known = collections_.find(ns);
  if (known != collections_.end()) info = known->second;
  info.unique_fields = unique_fields(ns);
  if (known != collections_.end()) return info;
  const auto first = documents_.lower_bound({ns, ""});
  if (first == documents_.end() || first->first.first != ns) return info;
  info.type = CollectionInfo::Type::kCollection;
  info.uuid = std::string(16, 'u');
  info.is_named = true;
  return info;
}

Status MemoryStore::fence(std::span<const std::string> lsid_ids, std::span<const std::string>,
                          Duration) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("fence store"); !ok) return ok;
  return end_running(lsid_ids);
}

Status MemoryStore::watch_oplog(Duration) {
  const MutexLock lock(mutex_);
  const std::string step = "watch oplog";
  if (auto ok = admit(step); !ok) return ok;
  if (info_.kind != StoreKind::kStandalone) return {};
  return fail(ErrorCode::kUnsupported, step, "memory store", "a standalone has no oplog");
}

Result<Timestamp> MemoryStore::last_oplog_time() {
  const MutexLock lock(mutex_);
  if (auto ok = admit("read oplog time"); !ok) return tl::unexpected<Error>(ok.error());
  if (info_.kind == StoreKind::kStandalone) {
    return fail(ErrorCode::kUnsupported, "read oplog time", "memory store",
                "a standalone has no oplog");
  }
  return newest();
}

Result<std::vector<OplogWrite>> MemoryStore::oplog_since(Timestamp since,
                                                         std::span<const std::string> lsid_ids) {
  const MutexLock lock(mutex_);
  if (auto ok = admit("read oplog"); !ok) return tl::unexpected<Error>(ok.error());
  if (info_.kind == StoreKind::kStandalone) {
    return fail(ErrorCode::kUnsupported, "read oplog", "memory store", "a standalone has no oplog");
  }
  return written_since(since, lsid_ids);
}

}  // namespace outrigger
