// A write command under way, with all that stays as it is until it is answered: whoever has a part
// in it is given this, and what they find out they return.
//
// What is known of the collection may turn out wrong while the command runs, because somebody made
// the collection anew. Then nothing was done, it is learned again, and only here does it change.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/merge_rules.h"
#include "proxy/capture/statement.h"

namespace outrigger {

class Transaction;  // transactions/transaction.h

struct WriteRequest {
  struct Collection {
    bool simple_collation = true;
    bool is_series = false;        // what is inserted are measurements (series/measurement.h)
    std::string uuid;              // where mongod can be asked to write to no other; else empty
    uint64_t facts_forgotten = 0;  // Facts::forgotten, before they were looked at
    std::optional<std::vector<Path>> unique_fields = {};  // CollectionInfo's; nothing: not known
  };

  // The three live as long as the request does.
  const WriteCommand& command;
  const wire::OpMsg& parsed;
  std::string_view message;  // as it came, for runs that can be sent so

  bool session_is_own = true;          // of the user who is logged in, for all that we know
  std::optional<int64_t> deadline_us;  // of the app's maxTimeMS, by the monotonic clock
  Collection collection;
  Transaction* transaction = nullptr;  // that it is a part of; its session's lock is held
  MergeRules rules = {};               // of its namespace

  // Whether strings are compared by their bytes when the statement's filter is asked.
  [[nodiscard]] bool compares_simply(const Statement& statement) const {
    if (!statement.has_collation) return collection.simple_collation;
    const auto locale = statement.collation.find("locale");
    return locale && locale->type == bson::Type::kString && locale->as_string() == "simple";
  }

  [[nodiscard]] bool is_out_of_time(int64_t now_us) const {
    return deadline_us && now_us >= *deadline_us;
  }
  // For mongod, which takes 0 for as long as it takes; nothing: the app set no limit.
  [[nodiscard]] std::optional<int64_t> time_left_ms(int64_t now_us) const {
    if (!deadline_us) return std::nullopt;
    return std::max<int64_t>(1, (*deadline_us - now_us) / 1000);
  }
};

// mongod's answer to a command of a transaction that met another write; drivers begin it again.
[[nodiscard]] inline std::string conflict_body() {
  return wire::error_body(wire::code::kWriteConflict,
                          "WriteConflict error: this operation conflicted with another operation. "
                          "Please retry your operation or multi-document transaction.",
                          {"TransientTransactionError"});
}

// Its answer to one that would make the transaction hold more than it may.
[[nodiscard]] inline std::string too_large_body() {
  return wire::error_body(wire::code::kTransactionTooLarge,
                          "Outrigger holds what a transaction has written until it is committed, "
                          "and this one, or all that are open, would hold too much; write it in "
                          "several smaller ones");
}

// mongod's answer to a command that ran out of time.
[[nodiscard]] inline std::string out_of_time_body() {
  return wire::error_body(wire::code::kMaxTimeMsExpired, "operation exceeded time limit");
}

}  // namespace outrigger
