// The sidecar's own connection to a MemoryMongod: the Store port on the same documents that apps
// see. Unavailable while the mongod does not run; what it wrote or waited for is journaled. A call
// takes the time its line takes, there and back, and between two writes: it can end half way.
#pragma once

#include "integration/memory_mongod/memory_mongod.h"
#include "replication/store/store.h"

namespace outrigger::world {

// The way between the two.
struct StoreLine {
  // Takes the time of one way; an error: nothing gets through any more.
  std::function<Status()> travel = [] { return Status(); };
  std::function<void(std::chrono::milliseconds)> pass_time = [](auto) {};
};

class MemoryMongodStore final : public Store {
 public:
  // `mongod` outlives the store.
  explicit MemoryMongodStore(MemoryMongod& mongod, StoreLine line = {})
      : mongod_(mongod), store_(mongod.documents()), line_(std::move(line)) {}

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
  [[nodiscard]] std::string process_id() const override { return connected_to_; }
  [[nodiscard]] Status wait_journaled() override;
  [[nodiscard]] Status watch_oplog(Duration duration) override;
  [[nodiscard]] std::vector<std::string> own_sessions() const override {
    return store_.own_sessions();
  }
  [[nodiscard]] Result<std::vector<NamespaceCount>> replicated_namespaces(
      const NamespaceFilter& filter) override;
  [[nodiscard]] Result<CollectionInfo> collection(const std::string& ns) override;
  [[nodiscard]] Result<std::vector<std::string>> holders(const std::string& ns,
                                                         const std::string& document,
                                                         const std::string& index) override;
  [[nodiscard]] Result<bool> holds_keys(const std::string& ns, const std::string& document,
                                        const std::string& index) override;
  [[nodiscard]] Result<std::optional<KeyIndex>> key_index(const std::string& ns,
                                                          const std::string& name) override;
  [[nodiscard]] Result<GuardChange> set_guard(const std::string& ns, const std::string& spec,
                                              KeyGuard guard) override;
  [[nodiscard]] Status fence(std::span<const std::string> lsid_ids,
                             std::span<const std::string> clients, Duration timeout) override;
  [[nodiscard]] Result<Timestamp> last_oplog_time() override;
  [[nodiscard]] Result<std::vector<OplogWrite>> oplog_since(
      Timestamp since, std::span<const std::string> lsid_ids) override;

 private:
  // Why nothing can be asked now, if so. A connection to a run that is gone fails once.
  [[nodiscard]] Status reach(const char* step) const;
  [[nodiscard]] Status come_back(const char* step) const;

  MemoryMongod& mongod_;
  MemoryStore& store_;
  const StoreLine line_;
  mutable std::string connected_to_;  // the run its connection is to; empty: it has none
};

}  // namespace outrigger::world
