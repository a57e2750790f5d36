// Ends transactions here that have ended at mongod, or whose app is gone, without a word to us.
//
// The problem: mongod ends transactions by itself (after a minute, when it steps down, by killOp,
// killSessions), and an app may vanish in the middle of one. Their documents would stay locked here
// for ever. So those that have been quiet for a moment are looked for among the transactions that
// mongod shows; and one whose app has gone is ended there, after a grace: a driver may go on with
// it over another connection.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "config/clock.h"
#include "proxy/transactions/transaction_table.h"
#include "replication/store/store.h"

namespace outrigger {

// Of one thread.
class TransactionSweep {
 public:
  static constexpr int64_t kQuietUs = 1'000'000;
  static constexpr int64_t kOrphanUs = 5'000'000;

  // Both outlive it. `ended` is told of each that it ends, for a metric.
  TransactionSweep(TransactionTable& table, const Clock& clock, std::function<void()> ended)
      : table_(table), clock_(clock), ended_(std::move(ended)) {}

  // Call it every second or so. Asks the store only when there is something to ask. Blocks.
  [[nodiscard]] Status step(StoreFence& store);
  // That run of mongod is gone, and its transactions with it. Any thread.
  void store_gone(const std::string& process);

 private:
  // Ends it, unless a command of it is under way or has come since it was `used_us`.
  void end(const TransactionTable::Entry& entry, int64_t used_us);
  [[nodiscard]] Status end_orphan(const TransactionTable::Entry& entry, StoreFence& store);

  TransactionTable& table_;
  const Clock& clock_;
  const std::function<void()> ended_;
};

}  // namespace outrigger
