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
  // A count of all that match: that of each page adds up.
  [[nodiscard]] bool is_sum() const { return kind == Kind::kCount && rest.size() == 1; }
  // So many documents that match are enough, the first ones; nothing: all are needed.
  std::optional<uint64_t> enough;
};

// Nothing: it asks nothing of a collection there. mongod has found the command in order.
[[nodiscard]] std::optional<OwnQuestion> own_question(const wire::OpMsg& parsed);

// What the command asks for that is not had here, by its name; empty: nothing.
[[nodiscard]] std::string why_not_own(const wire::OpMsg& parsed);

// The aggregation: `documents`, then `stages`. What the command says of time, variables and
// collation holds for it, too.
[[nodiscard]] std::string own_aggregation(const wire::OpMsg& parsed,
                                          const std::vector<std::string>& documents,
                                          const std::vector<std::string>& stages);

// What a count came to; nothing counted is 0.
[[nodiscard]] int64_t counted(const bson::Document& reply);

// The answer to the app's command: mongod's to the aggregation, put as the command wants it.
// `counted_before`: on other pages.
[[nodiscard]] std::string own_answer(const OwnQuestion& question, const bson::Document& reply,
                                     int64_t counted_before = 0);

}  // namespace outrigger
