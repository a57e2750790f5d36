// A Store in memory, for unit tests and under the mongod in memory of integration/memory_mongod/:
// documents as BSON bytes, plus verbs to make it refuse, fail, crash half way (memory_trouble.h),
// or hold what recovery would find (memory_remains.h).
//
// Thread-safe, so that a test may look or write (as the app would) while an applier works on it.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "config/thread_annotations.h"
#include "replication/store/memory/memory_remains.h"
#include "replication/store/memory/memory_unique.h"
#include "replication/store/store.h"

namespace outrigger {

class MemoryStore : public MemoryKeys, public MemoryRemains {
 public:
  MemoryStore();

  // ---- Store
  [[nodiscard]] Status ping() override;
  [[nodiscard]] Status wait_available(Duration timeout) override;
  [[nodiscard]] Result<StoreInfo> info() override;
  [[nodiscard]] Result<std::vector<std::string>> missing_rights() override;
  [[nodiscard]] Result<std::string> forbidden(const std::string& ns) override;
  [[nodiscard]] Result<std::vector<std::optional<std::string>>> read(
      const std::string& ns, std::span<const bson::OwnedValue> ids) override;
  [[nodiscard]] Result<StoreFound> find(const std::string& database,
                                        const std::string& command) override;
  [[nodiscard]] Status look(
      const std::string& ns, std::span<const bson::OwnedValue> ids,
      const std::optional<std::vector<std::string>>& fields,
      const std::function<void(size_t index, const bson::Document& document)>& visit) override;
  [[nodiscard]] Applied apply_in_order(std::span<const StoreWrite> writes) override;
  [[nodiscard]] Result<std::vector<size_t>> against_validator(
      const std::string& ns, std::span<const bson::OwnedValue> ids) override;
  [[nodiscard]] std::string process_id() const override;
  [[nodiscard]] Status wait_journaled() override;
  [[nodiscard]] Status wait_settled() override;
  [[nodiscard]] Status watch_oplog(Duration duration) override;
  [[nodiscard]] std::vector<std::string> own_sessions() const override;
  [[nodiscard]] Result<std::vector<NamespaceCount>> replicated_namespaces(
      const NamespaceFilter& filter) override;
  [[nodiscard]] Result<CollectionInfo> collection(const std::string& ns) override;
  [[nodiscard]] Status fence(std::span<const std::string> lsid_ids,
                             std::span<const std::string> clients, Duration timeout) override;
  [[nodiscard]] Result<Timestamp> last_oplog_time() override;
  [[nodiscard]] Result<std::vector<OplogWrite>> oplog_since(
      Timestamp since, std::span<const std::string> lsid_ids) override;

  // ---- the app's side: documents as bytes, with an _id
  void put(const std::string& ns, const std::string& document);
  void remove(const std::string& ns, const bson::OwnedValue& id);
  [[nodiscard]] std::optional<std::string> document(const std::string& ns,
                                                    const bson::OwnedValue& id) const;
  [[nodiscard]] std::vector<std::string> documents(
      const std::string& ns) const;   // by canonical key
  [[nodiscard]] size_t size() const;  // documents in all namespaces

  // ---- what there is
  void set_info(StoreInfo info);  // starts as a writable single-member set
  void set_missing_rights(std::vector<std::string> rights);
  void set_collection(const std::string& ns, CollectionInfo info);  // overrides what is derived

  // ---- what happened
  [[nodiscard]] size_t reads() const;        // documents asked for
  [[nodiscard]] size_t shown_bytes() const;  // by look()
  [[nodiscard]] size_t applied() const;      // writes done
  // Called under the store's own lock after each write done by apply_in_order().
  void watch(std::function<void(const StoreWrite&)> seen);
  [[nodiscard]] size_t settled_waits() const;  // calls of wait_settled()
  // Calls of apply_in_order() that did not fail before their first write.
  [[nodiscard]] size_t applies() const;

 private:
  [[nodiscard]] bool is_view(const std::string& ns) const REQUIRES(mutex_);
  [[nodiscard]] WriteOutcome apply_one(const StoreWrite& write) REQUIRES(mutex_);
  [[nodiscard]] WriteOutcome update(const StoreWrite& write, std::string& document)
      REQUIRES(mutex_);

  using MemoryKeys::mutex_;
  std::map<std::string, CollectionInfo> collections_ GUARDED_BY(mutex_);
  std::vector<std::string> missing_rights_ GUARDED_BY(mutex_);
  StoreInfo info_ GUARDED_BY(mutex_);
  std::function<void(const StoreWrite&)> seen_ GUARDED_BY(mutex_);
  size_t reads_ GUARDED_BY(mutex_) = 0;
  std::atomic<size_t> shown_bytes_{0};
  size_t applied_ GUARDED_BY(mutex_) = 0;
  size_t applies_ GUARDED_BY(mutex_) = 0;
  size_t settled_waits_ GUARDED_BY(mutex_) = 0;
};

}  // namespace outrigger
