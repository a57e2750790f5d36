// Finding documents by _id, shared by reading and by applying.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "replication/store/mongo/mongo_client.h"

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

}  // namespace outrigger::mongo
