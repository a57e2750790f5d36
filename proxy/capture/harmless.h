// What only mongod can say of a command, in its own words, asked so that nothing can be written.
//
// The command goes out with the `collectionUUID` of a collection that is not there, its guard:
// mongod says first what is wrong with the command, or what a retried statement did; whatever it
// would have run fails with 361. Stores before 6.0 do not know the field and refuse the command for
// it, and none knows it for findAndModify: there the command names a document that is not there.
// A time series takes measurements whatever uuid is named (seen on 6.0.5): documents to be inserted
// are sent empty, as it takes none without a time.
//
// A command of a transaction is asked about outside of it: there an error would end it.
//
// Here are these messages and what their answers mean; who asks is writes/store_refusals.h. Pure
// but for a random uuid.
#pragma once

#include <string>
#include <string_view>

#include "config/random.h"
#include "proxy/capture/statement.h"

namespace outrigger {

// The errors of how many statements are told. kFirst: mongod stops at the first. An error for each
// of 100,000 would be an answer that is too large for itself.
enum class Told : uint8_t { kAll, kFirst };

[[nodiscard]] bool knows_guard(CommandKind kind);
// The command as it came, with the guard: `nobodys`, which is no collection's UUID.
[[nodiscard]] std::string guarded_command(const wire::OpMsg& parsed, const Uuid& nobodys,
                                          int32_t request_id, Told told);
// A command of its kind about a document that is not there; `nothing`: the 12 bytes of its _id.
[[nodiscard]] std::string command_of_nothing(const WriteCommand& command, std::string_view nothing,
                                             int32_t request_id);
// explain of one statement. Where the store refused the statement narrowed to a document, this
// gives the refusal in words that show the app's own filter.
[[nodiscard]] std::string explaining_command(const WriteCommand& command,
                                             const Statement& statement, int32_t request_id);

// mongod does not know the guard, or the command met it.
[[nodiscard]] bool is_of_the_guard(const bson::Document& refusal);
// mongod would have run the command, or a part of it.
[[nodiscard]] bool met_the_guard(CommandKind kind, const bson::Document& reply);
// A refusal shows the command: here as the app sent it, without the guard.
[[nodiscard]] std::string without_guard(const bson::Document& refusal);

}  // namespace outrigger
