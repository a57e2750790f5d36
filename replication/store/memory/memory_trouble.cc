#include "replication/store/memory/memory_trouble.h"

#include "replication/bson/id.h"

namespace outrigger {

MemoryKey memory_key(const std::string& ns, const bson::Value& id) {
  return {ns, canonical_key(id)};
}

void MemoryTrouble::reject(const std::string& ns, const bson::OwnedValue& id, int32_t code,
                           const std::string& message) {
  const MutexLock lock(mutex_);
  rejected_[memory_key(ns, id.view())] = {WriteOutcome::Kind::kRejected, code, message};
}

void MemoryTrouble::allow(const std::string& ns, const bson::OwnedValue& id) {
  const MutexLock lock(mutex_);
  rejected_.erase(memory_key(ns, id.view()));
}

void MemoryTrouble::refuse_when(std::function<int32_t(const bson::Document&)> code,
                                std::string words) {
  const MutexLock lock(mutex_);
  rule_ = std::move(code);
  rule_words_ = std::move(words);
}

void MemoryTrouble::forbid(const std::string& ns, bool readable) {
  const MutexLock lock(mutex_);
  forbidden_[ns] = readable;
}

void MemoryTrouble::permit(const std::string& ns) {
  const MutexLock lock(mutex_);
  forbidden_.erase(ns);
}

void MemoryTrouble::fail_next(size_t calls, ErrorCode code) {
  const MutexLock lock(mutex_);
  failures_left_ = calls;
  calls_left_.reset();
  failure_ = code;
}

void MemoryTrouble::fail_after(size_t calls) {
  const MutexLock lock(mutex_);
  failure_ = ErrorCode::kUnavailable;
  calls_left_ = calls;
}

bool MemoryTrouble::is_to_fail() const {
  const MutexLock lock(mutex_);
  return calls_left_.has_value();
}

void MemoryTrouble::crash_after(size_t writes) {
  const MutexLock lock(mutex_);
  crash_after_ = writes;
}

void MemoryTrouble::lose_majority(std::optional<ErrorCode> failure) {
  const MutexLock lock(mutex_);
  no_majority_ = failure;
}

Status MemoryTrouble::majority() const {
  const MutexLock lock(mutex_);
  if (!no_majority_) return {};
  return fail(*no_majority_, "wait for a majority", "memory store", "told to miss one");
}

Status MemoryTrouble::admit(const std::string& step) {
  const MutexLock lock(mutex_);
  if (calls_left_ && (*calls_left_)-- == 0) {
    calls_left_.reset();
    failures_left_ = 1;
  }
  if (failures_left_ == 0) return {};
  --failures_left_;
  return fail(failure_, step, "memory store", "told to fail");
}

bool MemoryTrouble::crashes_at_next_write() {
  const MutexLock lock(mutex_);
  if (!crash_after_ || (*crash_after_)-- > 0) return false;
  crash_after_.reset();
  return true;
}

bool MemoryTrouble::crashes_now() {
  const MutexLock lock(mutex_);
  if (!crash_after_ || *crash_after_ > 0) return false;
  crash_after_.reset();
  return true;
}

std::optional<WriteOutcome> MemoryTrouble::rejection(const MemoryKey& of) const {
  const MutexLock lock(mutex_);
  const auto found = rejected_.find(of);
  return found == rejected_.end() ? std::nullopt : std::optional(found->second);
}

WriteOutcome MemoryTrouble::judge(const bson::Document& document) const {
  const MutexLock lock(mutex_);
  const int32_t code = rule_ ? rule_(document) : 0;
  if (code == 0) return {};
  return {WriteOutcome::Kind::kRejected, code, rule_words_, false};
}

bool MemoryTrouble::may_read(const std::string& ns) const {
  const MutexLock lock(mutex_);
  const auto found = forbidden_.find(ns);
  return found == forbidden_.end() || found->second;
}

bool MemoryTrouble::may_write(const std::string& ns) const {
  const MutexLock lock(mutex_);
  return !forbidden_.contains(ns);
}

}  // namespace outrigger
