// The transactions of all apps that are open here, by session: a session has one at a time, and a
// new number ends the older one. Shared by all loops.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/thread_annotations.h"
#include "proxy/transactions/transaction.h"

namespace outrigger {

// Thread-safe.
class TransactionTable {
 public:
  using Entry = std::shared_ptr<Transaction>;

  // `locks` outlives it.
  explicit TransactionTable(LockTable& locks) : locks_(locks) {}

  // The lock of the session, under which everything happens to its transaction. Whoever holds it
  // waits for documents only for a moment.
  [[nodiscard]] static uint64_t lock_key(const SessionKey& session);

  // That of the session, whatever its number; null: none.
  [[nodiscard]] Entry find(const SessionKey& session) const;
  // A new one, in the place of any other of its session. Null: there are too many.
  [[nodiscard]] Entry open(const SessionKey& key, std::string process);
  // It has ended: its locks are free, and nothing of it has to be fenced, unless it is `in_doubt`.
  // Its session's lock is held.
  void end(const Entry& transaction, Left left, bool in_doubt = false);
  // Not used since then, by the monotonic clock.
  [[nodiscard]] std::vector<Entry> unused_since(int64_t then_us) const;
  [[nodiscard]] std::vector<Entry> all() const { return unused_since(INT64_MAX); }
  [[nodiscard]] size_t size() const;
  [[nodiscard]] LockTable& locks() const { return locks_; }

 private:
  void remove(const Transaction& transaction);

  LockTable& locks_;
  std::atomic<size_t> held_bytes_{0};
  mutable Mutex mutex_;
  std::unordered_map<std::string, Entry> open_ GUARDED_BY(mutex_);
};

}  // namespace outrigger
