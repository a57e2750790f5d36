// What bench_load sends: one command per operation, built once per connection, in which only the
// numbers that change are written over before each sending. So the generator spends next to nothing
// on a request, and what is measured is the server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/mongo/wire/op_msg.h"

namespace outrigger::bench {

enum class Operation {
  kFind,
  kInsertOne,
  kInsertMany,     // 1,000 documents
  kUpdateById,     // $set of one field
  kUpdateMany,     // 1,000 such statements
  kUpdateByField,  // the same, found by an indexed field
  kFindAndModify,  // the same and an $inc, by _id, giving back the document before
  kReplaceById,    // needs the document before
  kPipelineById,   // needs it before and after
  kLoad            // inserts the documents there are to be, then ends
};

// "find", "insertOne", ...; nothing for an unknown name.
[[nodiscard]] std::optional<Operation> parse_operation(std::string_view name);
[[nodiscard]] bool inserts(Operation operation);
[[nodiscard]] bool updates(Operation operation);

// What a command is to a transaction of its session.
enum class Part { kNone, kBegins, kGoesOn, kCommits };

struct Shape {
  Operation operation = Operation::kFind;
  std::string database;
  std::string collection;
  bool majority = false;   // {w: "majority"}; else {w: 1}
  bool journaled = false;  // and j: true
  bool retryable = false;  // with a txnNumber, as drivers send writes by default
  uint64_t session = 0;    // makes the lsid, one a connection
  Part part = Part::kNone;
  int fields = 12;         // of a document, `_id` among them; at least 3
  int document_bytes = 0;  // about so many; 0: what 12 fields of an ordinary app come to
};

// Statements of one message: of those that are made of many, 1,000, or what makes 8 MiB.
[[nodiscard]] size_t statements_of(const Shape& shape);

// One message, reused. Documents have 12 fields in about 300 bytes: `_id` (int64), `sku` (int64,
// `_id` + kSkuOffset, indexed for updateByField), `value` (int64, what updates set), and filling;
// or as many fields and bytes as the shape says.
class Message {
 public:
  static constexpr int64_t kSkuOffset = 1'000'000'000'000;

  explicit Message(const Shape& shape);

  // Which document the next sending is about: its number and, for updates, the value to set;
  // inserts take statements_of() numbers from `id` on.
  void aim(int64_t id, int64_t value);
  // Of the statement `index` alone.
  void aim_statement(size_t index, int64_t id);
  // Of the transaction with this number.
  void aim_transaction(int64_t txn_number);
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  void put(size_t at, int64_t number);
  [[nodiscard]] std::vector<size_t> find(int64_t marker) const;

  const size_t statements_;
  std::string bytes_;
  std::vector<size_t> ids_, skus_, values_, txn_numbers_;
  int64_t txn_number_ = 0;
};

// Why the reply is not a plain success (the command failed, write errors, a document that was not
// there), or nothing.
[[nodiscard]] std::optional<std::string> complaint(std::string_view reply, size_t statements);

}  // namespace outrigger::bench
