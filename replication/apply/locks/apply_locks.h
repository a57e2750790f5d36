// The locks of the batch that is applied, and the places in line for those it could not have.
//
// A batch takes what is free and never waits for a lock while it gathers: a record whose documents
// are busy is left out. But its request stays in the lock table's queues, so that after those who
// came before it the record has its turn, however many write to its documents all the time. One
// request an origin waits; it may hold some of its keys meanwhile, as any request does that waits
// for its next one. What it was granted is kept for the record until a batch takes it.
//
// One thread's, but for the notice that a request was granted.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/thread_annotations.h"
#include "replication/site/lock_table.h"
#include "replication/site/state/inbox.h"

namespace outrigger {

struct LockedDocument {
  std::string ns;
  bson::OwnedValue id;
};

class ApplyLocks {
 public:
  // `granted` is called when a record that was refused has its locks, from any thread.
  ApplyLocks(LockTable& table, std::function<void()> granted);
  ~ApplyLocks();
  ApplyLocks(const ApplyLocks&) = delete;
  ApplyLocks& operator=(const ApplyLocks&) = delete;

  // Those of the record's documents, for the batch. False: not all are free, and it is in line,
  // unless another record of its origin is.
  [[nodiscard]] bool take(const Record& record);
  // The same without a place in line: of a record that is not in front, which keeps none.
  [[nodiscard]] bool take_if_free(const Record& record);
  // Those of one document, or false; without a place in line.
  [[nodiscard]] bool take(std::string_view ns, const bson::Value& id);
  // That of what the catalogue has of a collection, or false: its documents may be written to.
  [[nodiscard]] bool take_entry(std::string_view ns);
  // Those of all these documents, for `owner` (a name), or none. False: not all are free, and it is
  // in line for them, unless somebody else is: one owner waits at a time.
  [[nodiscard]] bool take_or_wait(const std::string& owner,
                                  std::span<const LockedDocument> documents);
  // The same of a whole collection.
  [[nodiscard]] bool take_all_or_wait(const std::string& owner, std::string_view ns);
  // Who waits so; empty: nobody.
  [[nodiscard]] std::string waits_in_line() const { return line_ ? line_->owner : std::string(); }
  // For a whole collection, and not for documents.
  [[nodiscard]] bool waits_for_all() const { return line_ && line_->keys.size() == 1; }
  // What it waited for, once it is granted. False: not yet.
  [[nodiscard]] bool take_line();
  void leave_line() { line_.reset(); }
  // Those of one document, in its turn: false: it is not free, and it is in line, unless another is
  // that was refused so. Of a document an app writes to all the time, too.
  [[nodiscard]] bool take_in_turn(const std::string& owner, const LockedDocument& document);
  // Who waits so; empty: nobody.
  [[nodiscard]] std::string turn_of() const { return turn_ ? turn_->owner : std::string(); }
  void leave_turn() { turn_.reset(); }
  // Gives up the places of records that are not in front any more: nobody would take them.
  void keep_places_of(const std::map<Origin, std::vector<Inbox::Item>>& front);
  // The batch is done.
  void release();
  // What is held is somebody else's from now on.
  [[nodiscard]] std::vector<HeldLocks> hand_over();
  // The batch is not done after all, and its records are to be taken again: their turn is before
  // that of any record which was in line behind them, and may hold what they need.
  void forget();

 private:
  struct Place {
    Hlc stamp = 0;
    HeldLocks locks;  // so far: waited for
  };
  struct Line {
    std::string owner;
    std::vector<LockKey> keys;
    HeldLocks locks;  // so far: waited for
  };
  struct Notice {
    Mutex mutex;
    std::function<void()> granted GUARDED_BY(mutex);  // nothing once the owner is gone
  };

  [[nodiscard]] bool try_take(const std::vector<LockKey>& keys);
  [[nodiscard]] bool take(std::optional<Line>& line);
  [[nodiscard]] bool take_or_wait(const std::string& owner, std::vector<LockKey> keys,
                                  std::optional<Line>& line);
  [[nodiscard]] bool queue(const Record& record, const std::vector<LockKey>& keys);
  // Whether all are free by now; else `locks` wait.
  [[nodiscard]] bool stand_in_line(const std::vector<LockKey>& keys, HeldLocks& locks);
  void hold(HeldLocks locks, const std::vector<LockKey>& keys);

  LockTable& table_;
  std::shared_ptr<Notice> notice_;
  std::vector<HeldLocks> held_;
  std::unordered_map<uint64_t, LockMode> held_keys_;
  std::map<Origin, Place> places_;
  std::optional<Line> line_;  // of documents that are no record's
  std::optional<Line> turn_;  // of one of them that is to be corrected
};

}  // namespace outrigger
