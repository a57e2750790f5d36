// The Store in life: libmongoc, with the sidecar's own credentials, over one connection.
//
// One MongoStore per thread that uses it; a call blocks until mongod has answered. A lost
// connection is an error of that call (kUnavailable) and made anew by the next one. Each call is
// answered by the part it belongs to; the parts share the connection.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/threads.h"
#include "replication/store/relaxed_indexes.h"
#include "replication/store/store.h"

namespace outrigger {

class MongoStore final : public Store {
 public:
  // Connects nowhere yet: see wait_available(). kInvalidArgument for a URI that cannot be read.
  // `threads` outlives it. `follows_primary`: the set has several members, so that one that does
  // not answer any more is left for another within seconds, where the URI does not say otherwise.
  // `relaxed`: what this site has relaxed, for all its stores (none: nothing).
  [[nodiscard]] static Result<std::unique_ptr<MongoStore>> open(
      const std::string& uri, Threads& threads, bool follows_primary = false,
      std::shared_ptr<RelaxedIndexes> relaxed = nullptr);
  ~MongoStore() override;

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
  [[nodiscard]] Result<std::vector<int64_t>> count_measurements(
      const std::string& collection, std::span<const bson::Document> measurements) override;
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
  [[nodiscard]] Result<std::vector<OpenTransaction>> open_transactions() override;
  [[nodiscard]] Result<Timestamp> last_oplog_time() override;
  [[nodiscard]] Result<std::vector<OplogWrite>> oplog_since(
      Timestamp since, std::span<const std::string> lsid_ids) override;

 private:
  struct Parts;  // keeps libmongoc's headers out of this one

  explicit MongoStore(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace outrigger
