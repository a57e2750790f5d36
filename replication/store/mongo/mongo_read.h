// Reading documents: by _id, which applying does too, and by whole `find` commands.
//
// What an _id finds must be a document of this namespace and no other, so what stands under the
// name is looked at first, and _ids compare by simple collation, whatever the collection's own is.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/mongo/mongo_catalog.h"

namespace outrigger::mongo {

inline constexpr size_t kBatch = 1000;          // statements or _ids in one command
inline constexpr size_t kBatchBytes = 8 << 20;  // what one command holds, beyond its first item

// Does comparing this _id depend on a collation? Then the command must ask for the simple one,
// since the collection's default could be another.
[[nodiscard]] bool needs_collation(const bson::Value& id);
void append_simple_collation(bson::Writer& to);  // {locale: "simple"} as "collation"

// What is asked for: of each document these top-level fields besides _id (nothing: all of it), and
// of the documents only those that `not_matching` does not match. Field names must be plain
// (is_plain_field).
struct Projection {
  std::optional<std::vector<std::string>> fields;
  const bson::Document* not_matching = nullptr;
};

// Shows every document of `ns` whose _id is among `ids`, in no order. The bytes live during the
// call. kInvalidArgument for a value that can be no _id.
[[nodiscard]] Status find_by_id(Client& client, const std::string& ns,
                                std::span<const bson::OwnedValue> ids, const Projection& projection,
                                const std::function<void(const bson::Document&)>& visit);

// Of `ids`, by their places, those whose documents the validator of their collection would refuse;
// of a document named twice its last place.
[[nodiscard]] Result<std::vector<size_t>> refused_by_validator(
    Client& client, Catalog& catalog, const std::string& ns, std::span<const bson::OwnedValue> ids);

class DocumentReader {
 public:
  DocumentReader(Client& client, Catalog& catalog) : client_(client), catalog_(catalog) {}

  // As the port has them (store.h).
  [[nodiscard]] Result<std::vector<std::optional<std::string>>> read(
      const std::string& ns, std::span<const bson::OwnedValue> ids);
  [[nodiscard]] Result<StoreFound> find(const std::string& database, const std::string& command);
  [[nodiscard]] Status look(
      const std::string& ns, std::span<const bson::OwnedValue> ids,
      const std::optional<std::vector<std::string>>& fields,
      const std::function<void(size_t index, const bson::Document& document)>& visit);
  [[nodiscard]] Result<std::vector<int64_t>> count_measurements(
      const std::string& collection, std::span<const bson::Document> measurements);

 private:
  // kInvalidArgument where it does not.
  [[nodiscard]] Status holds_documents(const std::string& ns);

  Client& client_;
  Catalog& catalog_;
};

}  // namespace outrigger::mongo
