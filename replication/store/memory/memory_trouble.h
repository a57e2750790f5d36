// The trouble a test can make in a MemoryStore: calls that fail, writes that are refused, a crash
// half way through. What has been ordered stands here, apart from the documents; the store asks
// before each step.
//
// Thread-safe, with a lock of its own: a test may order while an applier works on the store.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "config/thread_annotations.h"
#include "replication/store/store.h"

namespace outrigger {

// Where a document stands in a store in memory: its namespace, its canonical _id.
using MemoryKey = std::pair<std::string, std::string>;
[[nodiscard]] MemoryKey memory_key(const std::string& ns, const bson::Value& id);

class MemoryTrouble {
 public:
  // Writes to this document are refused, until allow(). As in a real one, a code that passes stops
  // the call, and 121 only says what a validator thinks of a document that is stored.
  void reject(const std::string& ns, const bson::OwnedValue& id, int32_t code = 11000,
              const std::string& message = "E11000 duplicate key error");
  void allow(const std::string& ns, const bson::OwnedValue& id);
  // Documents for which `code` gives one are refused with it.
  void refuse_when(std::function<int32_t(const bson::Document&)> code, std::string words = "no");
  // Nothing of `ns` may be read (unless `readable`) or written, until permit().
  void forbid(const std::string& ns, bool readable = false);
  void permit(const std::string& ns);
  // The next `calls` calls (not counting own_sessions) fail and do nothing.
  void fail_next(size_t calls, ErrorCode code = ErrorCode::kUnavailable);
  // So many calls succeed, then one fails.
  void fail_after(size_t calls);
  [[nodiscard]] bool is_to_fail() const;  // that has not come yet
  // wait_settled() finds none and fails with this; with nothing all is well.
  void lose_majority(std::optional<ErrorCode> failure);
  // The next calls of apply_in_order() do this many writes together, then one fails with
  // kUnavailable. For this wait_journaled() is one write.
  void crash_after(size_t writes);

 protected:
  // ---- what the store asks
  // An error when this call is to fail.
  [[nodiscard]] Status admit(const std::string& step);
  // What lose_majority() says.
  [[nodiscard]] Status majority() const;
  // Is it to crash instead of the next write? Counts that write; crashes once.
  [[nodiscard]] bool crashes_at_next_write();
  // Is it to crash after the last of a call's writes, when no next one asks?
  [[nodiscard]] bool crashes_now();
  // What reject() said of this document.
  [[nodiscard]] std::optional<WriteOutcome> rejection(const MemoryKey& of) const;
  // What refuse_when() says of it.
  [[nodiscard]] WriteOutcome judge(const bson::Document& document) const;
  [[nodiscard]] bool may_read(const std::string& ns) const;
  [[nodiscard]] bool may_write(const std::string& ns) const;

 private:
  mutable Mutex mutex_;
  std::map<MemoryKey, WriteOutcome> rejected_ GUARDED_BY(mutex_);
  std::map<std::string, bool> forbidden_ GUARDED_BY(mutex_);  // namespace -> may be read
  std::function<int32_t(const bson::Document&)> rule_ GUARDED_BY(mutex_);
  std::string rule_words_ GUARDED_BY(mutex_);
  std::optional<ErrorCode> no_majority_ GUARDED_BY(mutex_);
  size_t failures_left_ GUARDED_BY(mutex_) = 0;
  std::optional<size_t> calls_left_ GUARDED_BY(mutex_);
  ErrorCode failure_ GUARDED_BY(mutex_) = ErrorCode::kUnavailable;
  std::optional<size_t> crash_after_ GUARDED_BY(mutex_);
};

}  // namespace outrigger
