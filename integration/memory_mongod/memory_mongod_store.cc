#include "integration/memory_mongod/memory_mongod_store.h"

namespace outrigger::world {

Status MemoryMongodStore::reach(const char* step) const {
  if (Status there = line_.travel(); !there) return there;
  if (!mongod_.is_running()) {
    connected_to_.clear();
    return fail(ErrorCode::kUnavailable, step, "mongod in memory", "connection refused");
  }
  const std::string process = store_.process_id();
  if (connected_to_.empty()) connected_to_ = process;
  if (connected_to_ == process) return {};
  connected_to_.clear();
  return fail(ErrorCode::kUnavailable, step, "mongod in memory", "connection closed");
}

// The answer of that process may be lost with it.
Status MemoryMongodStore::come_back(const char* step) const { return reach(step); }

Status MemoryMongodStore::ping() {
  const Status there = reach("ping store");
  return there ? store_.ping() : there;
}

Status MemoryMongodStore::wait_available(Duration timeout) {
  if (reach("wait for store")) return store_.wait_available(timeout);
  line_.pass_time(timeout);
  return fail(ErrorCode::kTimeout, "wait for store", "mongod in memory", "connection refused");
}

Result<StoreInfo> MemoryMongodStore::info() {
  if (const Status there = reach("look at store"); !there) return tl::unexpected(there.error());
  return store_.info();
}

Result<std::vector<std::string>> MemoryMongodStore::missing_rights() {
  if (const Status there = reach("check rights"); !there) return tl::unexpected(there.error());
  return store_.missing_rights();
}

Result<std::string> MemoryMongodStore::forbidden(const std::string& ns) {
  if (const Status there = reach("check rights"); !there) return tl::unexpected(there.error());
  return store_.forbidden(ns);
}

Result<std::vector<std::optional<std::string>>> MemoryMongodStore::read(
    const std::string& ns, std::span<const bson::OwnedValue> ids) {
  if (const Status there = reach("read documents"); !there) return tl::unexpected(there.error());
  return store_.read(ns, ids);
}

Result<StoreFound> MemoryMongodStore::find(const std::string& database,
                                           const std::string& command) {
  if (const Status there = reach("find documents"); !there) return tl::unexpected(there.error());
  return store_.find(database, command);
}

Status MemoryMongodStore::look(
    const std::string& ns, std::span<const bson::OwnedValue> ids,
    const std::optional<std::vector<std::string>>& fields,
    const std::function<void(size_t index, const bson::Document& document)>& visit) {
  const Status there = reach("look at documents");
  return there ? store_.look(ns, ids, fields, visit) : there;
}

Applied MemoryMongodStore::apply_in_order(std::span<const StoreWrite> writes) {
  constexpr const char* kStep = "apply to store";
  Applied all;
  for (size_t i = 0; i < writes.size() && !all.stopped; ++i) {
    if (const Status there = come_back(kStep); !there) return {{}, there.error()};
    Applied one = store_.apply_in_order(writes.subspan(i, 1));
    mongod_.journal();
    for (WriteOutcome& outcome : one.outcomes) all.outcomes.push_back(std::move(outcome));
    all.stopped = std::move(one.stopped);
  }
  if (const Status back = come_back(kStep); !back) return {{}, back.error()};
  return all;
}

Result<std::vector<size_t>> MemoryMongodStore::against_validator(
    const std::string& ns, std::span<const bson::OwnedValue> ids) {
  if (const Status there = reach("ask the validator"); !there) {
    return tl::unexpected(there.error());
  }
  return store_.against_validator(ns, ids);
}

Status MemoryMongodStore::wait_journaled() {
  constexpr const char* kStep = "wait for the journal";
  if (const Status there = reach(kStep); !there) return there;
  mongod_.journal();
  if (const Status back = come_back(kStep); !back) return back;
  return store_.wait_journaled();
}

Status MemoryMongodStore::watch_oplog(Duration duration) {
  if (const Status there = reach("watch oplog"); !there) return there;
  line_.pass_time(duration);
  return store_.watch_oplog(duration);
}

Result<std::vector<NamespaceCount>> MemoryMongodStore::replicated_namespaces(
    const NamespaceFilter& filter) {
  if (const Status there = reach("list collections"); !there) return tl::unexpected(there.error());
  return store_.replicated_namespaces(filter);
}

Result<CollectionInfo> MemoryMongodStore::collection(const std::string& ns) {
  if (const Status there = reach("look at collection"); !there) {
    return tl::unexpected(there.error());
  }
  return store_.collection(ns);
}

Result<std::vector<std::string>> MemoryMongodStore::holders(const std::string& ns,
                                                            const std::string& document,
                                                            const std::string& index) {
  if (const Status there = reach("look for a holder"); !there) {
    return tl::unexpected(there.error());
  }
  return store_.holders(ns, document, index);
}

Result<bool> MemoryMongodStore::holds_keys(const std::string& ns, const std::string& document,
                                           const std::string& index) {
  if (const Status there = reach("look for a key"); !there) return tl::unexpected(there.error());
  return store_.holds_keys(ns, document, index);
}

Result<std::optional<KeyIndex>> MemoryMongodStore::key_index(const std::string& ns,
                                                             const std::string& name) {
  if (const Status there = reach("look at an index"); !there) {
    return tl::unexpected(there.error());
  }
  return store_.key_index(ns, name);
}

Result<GuardChange> MemoryMongodStore::set_guard(const std::string& ns, const std::string& spec,
                                                 KeyGuard guard) {
  if (const Status there = reach("change an index"); !there) return tl::unexpected(there.error());
  return store_.set_guard(ns, spec, guard);
}

Status MemoryMongodStore::fence(std::span<const std::string> lsid_ids,
                                std::span<const std::string> clients, Duration timeout) {
  constexpr auto kPause = Duration(20);
  for (Duration waited(0);; waited += kPause) {
    if (const Status there = reach("fence store"); !there) return there;
    mongod_.kill_operations(lsid_ids);
    if (!mongod_.has_operation(clients)) return store_.fence(lsid_ids, clients, timeout);
    if (waited >= timeout) {
      return fail(ErrorCode::kTimeout, "fence store", "mongod in memory", "it does not end");
    }
    line_.pass_time(kPause);
  }
}

Result<Timestamp> MemoryMongodStore::last_oplog_time() {
  if (const Status there = reach("read oplog time"); !there) return tl::unexpected(there.error());
  return store_.last_oplog_time();
}

Result<std::vector<OplogWrite>> MemoryMongodStore::oplog_since(
    Timestamp since, std::span<const std::string> lsid_ids) {
  if (const Status there = reach("read oplog"); !there) return tl::unexpected(there.error());
  return store_.oplog_since(since, lsid_ids);
}

}  // namespace outrigger::world
