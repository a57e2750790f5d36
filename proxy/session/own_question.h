// What a command asks of a collection of the database `outrigger`, as the stages of an aggregation
// over documents that come with it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proxy/mongo/wire/op_msg.h"

namespace outrigger {

inline constexpr std::string_view kOwnDatabase = "outrigger";

struct OwnQuestion {
  enum class Kind : uint8_t { kCursor, kCount, kDistinct };
  Kind kind = Kind::kCursor;
  std::string collection;            // "": listCollections
  std::vector<std::string> matches;  // stages (BSON) that look at one document by itself
  std::vector<std::string> rest;     // the stages behind them
  // So many documents that match are enough, the first ones; nothing: all are needed.
  std::optional<uint64_t> enough;
};

// Nothing: it asks nothing of a collection there. mongod has found the command in order.
[[nodiscard]] std::optional<OwnQuestion> own_question(const wire::OpMsg& parsed);

// The aggregation: `documents`, then `stages`. What the command says of time, variables and
// collation holds for it, too.
[[nodiscard]] std::string own_aggregation(const wire::OpMsg& parsed,
                                          const std::vector<std::string>& documents,
                                          const std::vector<std::string>& stages);

// The documents in the first batch of mongod's answer; borrowed from it.
[[nodiscard]] std::vector<bson::Document> first_batch(const bson::Document& reply);
// More than one answer holds: there would be further batches.
[[nodiscard]] bool has_more(const bson::Document& reply);

// The answer to the app's command: mongod's to the aggregation, put as the command wants it.
[[nodiscard]] std::string own_answer(const OwnQuestion& question, const bson::Document& reply);

}  // namespace outrigger
