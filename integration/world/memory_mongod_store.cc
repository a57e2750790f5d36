#include "integration/world/memory_mongod_store.h"

namespace outrigger::world {

Status MemoryMongodStore::reach(const char* step) const {
  if (mongod_.is_running()) return {};
  return fail(ErrorCode::kUnavailable, step, "mongod in memory", "connection refused");
}

Status MemoryMongodStore::ping() {
  const Status there = reach("ping store");
  return there ? store_.ping() : there;
}

Status MemoryMongodStore::wait_available(Duration timeout) {
  if (mongod_.is_running()) return store_.wait_available(timeout);
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
  if (const Status there = reach("apply to store"); !there) return {{}, there.error()};
  Applied applied = store_.apply_in_order(writes);
  mongod_.journal();
  return applied;
}

Status MemoryMongodStore::wait_journaled() {
  const Status there = reach("wait for the journal");
  if (!there) return there;
  mongod_.journal();
  return store_.wait_journaled();
}

Status MemoryMongodStore::watch_oplog(Duration duration) {
  const Status there = reach("watch oplog");
  return there ? store_.watch_oplog(duration) : there;
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

Status MemoryMongodStore::fence(std::span<const std::string> lsid_ids,
                                std::span<const std::string> clients, Duration timeout) {
  const Status there = reach("fence store");
  return there ? store_.fence(lsid_ids, clients, timeout) : there;
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
