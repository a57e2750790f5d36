// An app's transaction as it is known here until it ends: what names it to mongod, the locks of
// what it has written to, and what that was. Nothing of it is in the log before it is committed.
//
// A transaction belongs to its session, never to a connection: whoever serves a command of it, on
// whatever loop, first takes the session's lock (TransactionTable::lock_key), and what has no word
// below is of whoever holds that.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/thread_annotations.h"
#include "proxy/capture/statement.h"
#include "proxy/transactions/transaction_effects.h"
#include "replication/outbox/backend_note.h"
#include "replication/site/lock_table.h"

namespace outrigger {

class Transaction {
 public:
  // `process`: the run of mongod it is in. Both references outlive it. `held_bytes` is what all
  // transactions hold together.
  Transaction(SessionKey key, std::string process, LockTable& locks,
              std::atomic<size_t>& held_bytes)
      : key_(std::move(key)),
        process_(std::move(process)),
        lock_table_(locks),
        held_bytes_(held_bytes),
        snapshot_(locks.now()) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  // ---- any thread
  [[nodiscard]] const SessionKey& key() const { return key_; }  // without statements
  [[nodiscard]] std::string session_id() const;
  [[nodiscard]] const std::string& process() const { return process_; }
  [[nodiscard]] bool has_locks() const { return has_locks_; }
  // A command of it has come, from a connection of an app that lives as long as `app`.
  void use(int64_t now_us, std::weak_ptr<const void> app);
  [[nodiscard]] int64_t used_us() const { return used_us_; }
  // The app whose command came last is gone.
  [[nodiscard]] bool is_orphan() const;

  // ---- its session's lock is held
  // mongod has heard of it.
  [[nodiscard]] bool is_begun() const { return is_begun_; }
  void begin() { is_begun_ = true; }
  // What makes a command of ours one of this transaction, as BSON: the app's own session and
  // number, and where it is the first that mongod hears of, what begins it. `command`: the app's,
  // under way. `with_api`: also what is said of the API, where the command does not hold that.
  [[nodiscard]] std::string naming(const bson::Document& command, bool with_api);

  // Asks for those of the keys that it has not; null: it has all. The request lives until the next
  // one, unless its locks are kept.
  [[nodiscard]] LockRequest* ask_for(std::span<const LockKey> keys);
  // They are held now, and until it ends.
  void keep(HeldLocks locks);
  // It reads at a time that its app has named, and that may be long ago.
  void read_long_ago() { snapshot_ = 0; }
  // Somebody has changed the document since the transaction's snapshot was taken, or perhaps has.
  // Under its lock. Where the transaction writes to it mongod says so; where it finds nothing to
  // write, as the value is there already in its snapshot, mongod says nothing.
  [[nodiscard]] bool is_outdated(uint64_t document_key) const {
    return lock_table_.changed_since(document_key, snapshot_);
  }
  // Gives back all locks: it has ended.
  void release(Left left);

  TransactionEffects effects;
  // Adds a change. False: that is more than one, or all together, may hold.
  [[nodiscard]] bool add(DocumentChange change);
  // Shows what is wanted of a document of `ns`.
  void show(const std::string& ns, const bson::Document& document);
  [[nodiscard]] bool has_room() const;
  // Collections that it makes or gives indexes: what they were before, as the catalogue shows them.
  [[nodiscard]] const std::map<std::string, std::string>& catalog() const { return catalog_; }
  // False: as add().
  [[nodiscard]] bool note_catalog(const std::string& ns, std::string before);
  std::set<std::string> made;  // namespaces that hold documents of it, so are there once it is
  // Collections that it makes whose strings are not told apart by their bytes.
  std::set<std::string> collated;
  outbox::BackendNote note;  // of its session, once something is written

 private:
  void count(size_t more_bytes);

  const SessionKey key_;
  const std::string process_;
  LockTable& lock_table_;
  std::atomic<size_t>& held_bytes_;
  size_t counted_bytes_ = 0;
  std::map<std::string, std::string> catalog_;
  std::atomic<bool> has_locks_{false};
  std::atomic<int64_t> used_us_{0};
  mutable Mutex app_mutex_;
  std::weak_ptr<const void> app_ GUARDED_BY(app_mutex_);
  uint64_t snapshot_;  // not later than mongod's, by the lock table
  bool is_begun_ = false;
  std::deque<LockRequest> requests_;
  std::vector<HeldLocks> locks_;
  std::unordered_map<uint64_t, LockMode> keys_;  // of locks_
};

}  // namespace outrigger
