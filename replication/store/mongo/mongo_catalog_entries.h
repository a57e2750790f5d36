// Collections as documents of the catalogue (record/catalog.h): shown from what mongod lists, and
// made true when one is written.
//
// A write says what is to be so from anywhere, so it may be done twice, and goes on where it was
// interrupted. What cannot be so is rejected, as a document's write is: an index that what is there
// forbids, an option that no collection can take on. A collection is dropped only where the write
// takes its options away and it holds no documents: whoever writes keeps others from it meanwhile.
// An index over many documents is rejected until it is built (mongo_index_builds.h). One that this
// site has relaxed is shown as unique, and taken for that (relaxed_indexes.h).
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "replication/record/catalog.h"
#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/mongo/mongo_catalog.h"
#include "replication/store/mongo/mongo_index_builds.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

class CatalogEntries {
 public:
  // All outlive it.
  CatalogEntries(Client& client, Catalog& catalog, IndexBuilds& builds,
                 const RelaxedIndexes& relaxed)
      : client_(client), catalog_(catalog), builds_(builds), relaxed_(relaxed) {}

  // As StoreReader::read(): of each collection a document, whether there is one or not.
  [[nodiscard]] Result<std::vector<std::optional<std::string>>> read(
      std::span<const bson::OwnedValue> ids);
  // One write, not journaled. Errors: as StoreWriter's; it may be done in part then.
  [[nodiscard]] Result<WriteOutcome> write(const StoreWrite& write);

 private:
  // What is there under this name.
  [[nodiscard]] Result<CatalogEntry> find(const std::string& ns);
  [[nodiscard]] Status list_indexes(CatalogEntry& entry);
  [[nodiscard]] Result<bool> is_empty(const std::string& ns);

  // Nothing: done.
  using Refusal = std::optional<WriteOutcome>;
  [[nodiscard]] Result<Refusal> make_true(const CatalogEntry& is, const CatalogEntry& wanted);
  [[nodiscard]] Result<Refusal> make(const CatalogEntry& wanted);
  [[nodiscard]] Result<Refusal> change_options(const CatalogEntry& is, const CatalogEntry& wanted);
  [[nodiscard]] Result<Refusal> change_view(const CatalogEntry& wanted);
  [[nodiscard]] Result<Refusal> change_indexes(CatalogEntry& is, const CatalogEntry& wanted);
  [[nodiscard]] Result<Refusal> drop_indexes(const CatalogEntry& is, const CatalogEntry& wanted);
  [[nodiscard]] Result<Refusal> drop_index(const std::string& ns, const std::string& name,
                                           int32_t ms = 0);
  // `unbuilt`: names of indexes that are being built, or are to be.
  [[nodiscard]] Result<Refusal> give_up(const CatalogEntry& is, const CatalogEntry& wanted,
                                        const std::set<std::string, std::less<>>& unbuilt);
  [[nodiscard]] Result<Refusal> make_indexes(const CatalogEntry& is, const CatalogEntry& wanted);
  // `unless`: this error of mongod's says that it is so already.
  [[nodiscard]] Result<Refusal> run(const std::string& ns, const std::string& command,
                                    int32_t unless = 0);

  Client& client_;
  Catalog& catalog_;
  IndexBuilds& builds_;
  const RelaxedIndexes& relaxed_;
};

}  // namespace outrigger::mongo
