// renameCollection, told to other sites as a drop and births (replication/renames/rename.h).
//
//   ask     mongod is asked for its own refusal first; then ours
//   look    under the locks of both names: nothing is in the way, and every member has applied all
//           that is known here, so that as little as can be is written beside it
//   rename  the prepares are on disk, then mongod's own command
//   tell    once mongod's journal (that of a majority) holds it. Should anything break from the
//           command on, recovery looks what became of it, and tells it
//
// The locks are held until all is told: nobody here writes to either name meanwhile.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/capture/reply.h"
#include "proxy/mongo/backend.h"
#include "proxy/mongo/wire/op_msg.h"
#include "proxy/writes/catalog_write.h"
#include "proxy/writes/context.h"
#include "replication/renames/rename.h"

namespace outrigger {

// Some other site knows one of the two collections.
[[nodiscard]] bool rename_travels(const wire::OpMsg& parsed, const Policy& policy);

class RenameWrite {
 public:
  // All outlive it. `writing` is set while the store's answer must be awaited.
  RenameWrite(ProxyContext& context, Backend& backend, bool& writing, std::string_view message,
              const wire::OpMsg& parsed);

  net::Task<Answer> run();

 private:
  using Failed = std::optional<Answer>;
  // What has both names.
  struct Seen {
    Rename rename;
    std::vector<ListedDocument> documents;   // of the source
    std::vector<bson::OwnedValue> replaced;  // of the target
    std::string listed_by;                   // as of CatalogWrite
  };

  net::Task<Failed> refusal();
  net::Task<Answer> rename();
  net::Task<Answer> send(Seen seen, CatalogParts parts);
  net::Task<bool> tell(Seen seen, CatalogParts& parts);
  net::Task<void> leave_in_doubt(CatalogParts& parts);
  net::Task<Result<bool>> ask_whether_done(const Rename& rename);
  net::Task<Result<Seen>> look();
  net::Task<Status> list(Seen& seen);
  net::Task<Failed> refusal_of_members();
  net::Task<std::string> wait_for_members();
  // Why it is too large, if it is.
  net::Task<Result<std::string>> measure();
  void forget_facts();
  net::Task<Result<CatalogParts>> begin(const Seen& seen);
  net::Task<Result<std::string>> send_as_it_came();
  net::Task<Answer> pass_refusal(Seen seen);
  net::Task<bool> tell_unforeseen(Seen seen);
  [[nodiscard]] std::string in_the_way(const Rename& rename) const;
  [[nodiscard]] std::string too_large(const Seen& seen) const;
  [[nodiscard]] Answer refuse(const std::string& why) const;

  ProxyContext& context_;
  Backend& backend_;
  bool& writing_;
  const std::string_view message_;
  const wire::OpMsg& parsed_;
  std::string from_;
  std::string to_;
  bool drops_target_ = false;
};

}  // namespace outrigger
