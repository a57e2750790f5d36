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

enum class Operation { kFind, kInsertOne, kInsertMany, kUpdateById, kUpdateByField, kLoad };

// "find", "insertOne", ...; nothing for an unknown name.
[[nodiscard]] std::optional<Operation> parse_operation(std::string_view name);
// Statements of one message: 1,000 for insertMany and load, else 1.
[[nodiscard]] size_t statements_of(Operation operation);
[[nodiscard]] bool inserts(Operation operation);
[[nodiscard]] bool updates(Operation operation);

struct Shape {
  Operation operation = Operation::kFind;
  std::string database;
  std::string collection;
  bool majority = false;   // {w: "majority"}; else {w: 1}
  bool retryable = false;  // with a txnNumber, as drivers send writes by default
  uint64_t session = 0;    // makes the lsid, one a connection
};

// One message, reused. Documents have 12 fields in about 300 bytes: `_id` (int64), `sku` (int64,
// `_id` + kSkuOffset, indexed for updateByField), `value` (int64, what updates set), and filling.
class Message {
 public:
  static constexpr int64_t kSkuOffset = 1'000'000'000'000;

  explicit Message(const Shape& shape);

  // Which document the next sending is about: its number and, for updates, the value to set;
  // inserts take statements_of() numbers from `id` on.
  void aim(int64_t id, int64_t value);
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  void put(size_t at, int64_t number);
  [[nodiscard]] std::vector<size_t> find(int64_t marker) const;

  std::string bytes_;
  std::vector<size_t> ids_, skus_, values_, txn_numbers_;
  int64_t txn_number_ = 0;
};

// Why the reply is not a plain success (the command failed, write errors, a document that was not
// there), or nothing.
[[nodiscard]] std::optional<std::string> complaint(std::string_view reply, Operation operation);

}  // namespace outrigger::bench
