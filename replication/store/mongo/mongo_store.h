// The Store in life: libmongoc, with the sidecar's own credentials, over one connection.
//
// One MongoStore per thread that uses it; a call blocks until mongod has answered. A lost
// connection is an error of that call (kUnavailable) and made anew by the next one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "replication/store/store.h"

namespace outrigger {

namespace mongo {
class Client;
struct CommandReply;
}  // namespace mongo

class MongoStore final : public Store {
 public:
  // Connects nowhere yet: see wait_available(). kInvalidArgument for a URI that cannot be read.
  [[nodiscard]] static Result<std::unique_ptr<MongoStore>> open(const std::string& uri);
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
  [[nodiscard]] Applied apply_in_order(std::span<const StoreWrite> writes) override;
  [[nodiscard]] std::string process_id() const override;
  [[nodiscard]] Status wait_journaled() override;
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

 private:
  class Application;
  // Never made.
  static constexpr const char* kNobodysNamespace = "outrigger.nothing";

  explicit MongoStore(std::unique_ptr<mongo::Client> client);

  // As last looked at; looks the first time after each connect, info() looks every time.
  [[nodiscard]] Result<StoreKind> kind();
  [[nodiscard]] Result<StoreKind> look_at_kind(const bson::Document& hello);
  [[nodiscard]] Result<mongo::CommandReply> delete_nothing(StoreKind of_kind);
  // A namespace in which our user may delete; kNobodysNamespace when none is known.
  [[nodiscard]] Result<std::string> somewhere_to_delete();
  [[nodiscard]] Result<int64_t> count(const std::string& database, const std::string& collection);
  [[nodiscard]] Status list_namespaces(const std::string& database, const NamespaceFilter& filter,
                                       std::vector<NamespaceCount>& into);
  [[nodiscard]] Result<CollectionInfo> list_collection(const std::string& ns);
  [[nodiscard]] Result<CollectionInfo> target(const std::string& ns);
  [[nodiscard]] Status holds_documents(const std::string& ns);
  [[nodiscard]] Status require_replica_set(const std::string& step);
  [[nodiscard]] Result<Timestamp> oldest_oplog_time();

  std::unique_ptr<mongo::Client> client_;
  std::string kind_of_session_;  // the session of the connection `kind_` is of
  StoreKind kind_ = StoreKind::kStandalone;
  std::string process_id_;
  std::string nothing_ns_ = kNobodysNamespace;  // where nothing is deleted, to wait for the journal
  std::vector<std::string> own_sessions_;
  std::map<std::string, CollectionInfo> targets_;  // what it reads and writes
};

}  // namespace outrigger
