#include "replication/site/lock_table.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "config/result.h"
#include "replication/series/measurement.h"

namespace outrigger {
namespace {

// Different seeds, so that a namespace never shares the key of a document by construction.
constexpr uint64_t kNamespaceSeed = 1;

}  // namespace

uint64_t document_lock_key(std::string_view ns, std::string_view canonical_id) {
  return XXH3_64bits_withSeed(canonical_id.data(), canonical_id.size(),
                              XXH3_64bits(ns.data(), ns.size()));
}

uint64_t document_lock_key(std::string_view ns, const bson::Value& id) {
  if (series::holds_measurements(ns)) {
    return document_lock_key(series::collection_of(ns), series::kin_in(id).view());
  }
  return document_lock_key(ns, std::string_view(bson::canonical_key(id)));
}

uint64_t namespace_lock_key(std::string_view ns) {
  if (series::holds_measurements(ns)) return namespace_lock_key(series::collection_of(ns));
  return XXH3_64bits_withSeed(ns.data(), ns.size(), kNamespaceSeed);
}

LockRequest::LockRequest(std::vector<LockKey> keys) : keys_(std::move(keys)) {}

LockRequest::~LockRequest() { OUTRIGGER_ASSERT(state_.load() == kIdle); }

void LockRequest::add(uint64_t hash, LockMode mode) {
  OUTRIGGER_ASSERT(state_.load() == kIdle);
  keys_.push_back({hash, mode});
}

void LockRequest::clear() {
  OUTRIGGER_ASSERT(state_.load() == kIdle);
  keys_.clear();
}

std::vector<LockKey> LockRequest::first_keys(size_t count) const {
  return {keys_.begin(), keys_.begin() + static_cast<std::ptrdiff_t>(count)};
}

void LockRequest::sort() {
  std::sort(keys_.begin(), keys_.end(), [](const LockKey& a, const LockKey& b) {
    return a.hash != b.hash ? a.hash < b.hash : a.mode > b.mode;  // the stronger mode first
  });
  keys_.erase(std::unique(keys_.begin(), keys_.end(),
                          [](const LockKey& a, const LockKey& b) { return a.hash == b.hash; }),
              keys_.end());
}

LockTable::LockTable() : shards_(new Shard[kShards]) {}

LockTable::~LockTable() { OUTRIGGER_ASSERT(size() == 0); }

LockTable::Shard& LockTable::shard_of(uint64_t hash) const { return shards_[hash % kShards]; }

LockTable::Trace& LockTable::trace_in(Shard& shard, uint64_t hash) {
  return shard.traces[hash / kShards % kTraces];
}

LockTable::Trace LockTable::trace_of(uint64_t hash) const {
  Shard& shard = shard_of(hash);
  const MutexLock guard(shard.mutex);
  return trace_in(shard, hash);
}

bool LockTable::free_for(const Lock& lock, LockMode mode) {
  return !lock.exclusive && (mode == LockMode::kShared || lock.shared == 0);
}

void LockTable::take(Lock& lock, LockMode mode) {
  if (mode == LockMode::kShared) {
    ++lock.shared;
  } else {
    lock.exclusive = true;
  }
}

void LockTable::enqueue(Lock& lock, LockRequest& request) {
  request.next_waiter_ = nullptr;
  (lock.last ? lock.last->next_waiter_ : lock.first) = &request;
  lock.last = &request;
}

bool LockTable::unqueue(Lock& lock, LockRequest& request) {
  LockRequest* before = nullptr;
  for (LockRequest* at = lock.first; at; before = at, at = at->next_waiter_) {
    if (at != &request) continue;
    (before ? before->next_waiter_ : lock.first) = at->next_waiter_;
    if (lock.last == at) lock.last = before;
    return true;
  }
  return false;
}

LockTable::Granted LockTable::grant_waiters(Lock& lock) {
  Granted granted;
  while (LockRequest* head = lock.first) {
    const LockMode mode = head->keys_[head->next_.load(std::memory_order_relaxed)].mode;
    if (!free_for(lock, mode)) break;
    take(lock, mode);
    lock.first = head->next_waiter_;
    if (!lock.first) lock.last = nullptr;
    granted.append(head);
  }
  return granted;
}

void LockTable::Granted::append(LockRequest* request) {
  request->next_waiter_ = nullptr;
  (last ? last->next_waiter_ : first) = request;
  last = request;
}

void LockTable::Granted::append(const Granted& more) {
  if (!more.first) return;
  (last ? last->next_waiter_ : first) = more.first;
  last = more.last;
}

LockRequest* LockTable::Granted::take_first() {
  LockRequest* const request = first;
  if (request) first = request->next_waiter_;
  if (!first) last = nullptr;
  return request;
}

// Takes keys from next_ on. False: it waits in a queue, and may already belong to another thread.
bool LockTable::advance(LockRequest& request, Granted& others) {
  const size_t count = request.keys_.size();
  for (size_t i = request.next_.load(std::memory_order_relaxed); i < count; ++i) {
    request.next_.store(i, std::memory_order_release);
    const LockKey key = request.keys_[i];
    std::vector<LockKey> held;
    {
      Shard& shard = shard_of(key.hash);
      const MutexLock guard(shard.mutex);
      Lock& lock = shard.locks[key.hash];
      if (!lock.first && free_for(lock, key.mode)) {
        take(lock, key.mode);
        continue;
      }
      request.is_aside_ = lock.held_long > 0;
      if (request.is_aside_) held = request.first_keys(i);
      enqueue(lock, request);
    }
    others.append(give_back(held));
    return false;
  }
  request.next_.store(count, std::memory_order_release);
  return true;
}

// Of one that has been given its next key while it stood aside: takes those before it, or gives
// back that one, too.
bool LockTable::try_first(LockRequest& request, size_t count, Granted& others) {
  for (size_t i = 0; i < count; ++i) {
    const LockKey key = request.keys_[i];
    bool is_free = false;
    {
      Shard& shard = shard_of(key.hash);
      const MutexLock guard(shard.mutex);
      const auto found = shard.locks.find(key.hash);
      const bool known = found != shard.locks.end();
      is_free = !known || (!found->second.first && free_for(found->second, key.mode));
      if (is_free) take(shard.locks[key.hash], key.mode);
    }
    if (is_free) continue;
    std::vector<LockKey> held = request.first_keys(i);
    held.push_back(request.keys_[count]);
    others.append(give_back(held));
    return false;
  }
  return true;
}

LockTable::Granted LockTable::give_back(const std::vector<LockKey>& keys) {
  Granted granted;
  for (const LockKey& key : keys) granted.append(unlock(key, {}));
  return granted;
}

void LockTable::hold_long(LockRequest& request) {
  OUTRIGGER_ASSERT(request.state_.load() == LockRequest::kHeld && !request.is_long_);
  request.is_long_ = true;
  std::vector<LockKey> freed;
  for (const LockKey& key : request.keys_) {
    Shard& shard = shard_of(key.hash);
    const MutexLock guard(shard.mutex);
    Lock& lock = shard.locks.at(key.hash);
    ++lock.held_long;
    // Who is in line already and holds something stands aside, too.
    for (LockRequest* at = lock.first; at; at = at->next_waiter_) {
      if (std::exchange(at->is_aside_, true)) continue;
      const std::vector<LockKey> held = at->first_keys(at->next_.load(std::memory_order_relaxed));
      freed.insert(freed.end(), held.begin(), held.end());
    }
  }
  resume(give_back(freed));
}

LockTable::Granted LockTable::unlock(const LockKey& key, const Release& release) {
  Shard& shard = shard_of(key.hash);
  const MutexLock guard(shard.mutex);
  if (release.left != Left::kNothing) {
    // Releases of two keys may come here in another order than they were numbered in.
    Trace& trace = trace_in(shard, key.hash);
    if (key.mode == LockMode::kExclusive) trace.changed = std::max(trace.changed, release.number);
    if (release.left == Left::kWritten) trace.written = std::max(trace.written, release.number);
  }
  const auto found = shard.locks.find(key.hash);
  OUTRIGGER_ASSERT(found != shard.locks.end());
  Lock& lock = found->second;
  if (key.mode == LockMode::kShared) {
    OUTRIGGER_ASSERT(lock.shared > 0);
    --lock.shared;
  } else {
    OUTRIGGER_ASSERT(lock.exclusive);
    lock.exclusive = false;
  }
  if (release.was_long) --lock.held_long;
  const Granted granted = grant_waiters(lock);
  if (!lock.first && !lock.exclusive && lock.shared == 0) shard.locks.erase(found);
  return granted;
}

// Goes on with requests that were just given the key they waited for, and with whom they let go
// first.
void LockTable::resume(Granted granted) {
  while (LockRequest* request = granted.take_first()) {
    const size_t at = request->next_.load(std::memory_order_relaxed);
    const bool was_aside = std::exchange(request->is_aside_, false);
    const bool goes_on = !was_aside || try_first(*request, at, granted);
    request->next_.store(goes_on ? at + 1 : 0, std::memory_order_release);
    if (!advance(*request, granted)) continue;
    // Once it is held, its owner may release and destroy it: take the callback out before.
    const std::function<void()> call = std::move(request->granted_);
    request->granted_ = nullptr;
    request->state_.store(LockRequest::kHeld, std::memory_order_release);
    call();
  }
}

void LockTable::unlock_first(LockRequest& request, size_t count, const Release& release) {
  Granted granted;
  for (size_t i = 0; i < count; ++i) granted.append(unlock(request.keys_[i], release));
  request.next_.store(0, std::memory_order_relaxed);
  request.granted_ = nullptr;
  request.is_aside_ = false;
  request.is_long_ = false;
  request.state_.store(LockRequest::kIdle, std::memory_order_release);
  resume(granted);
}

bool LockTable::acquire(LockRequest& request, std::function<void()> granted) {
  OUTRIGGER_ASSERT(request.state_.load() == LockRequest::kIdle);
  request.sort();
  request.granted_ = std::move(granted);
  request.next_.store(0, std::memory_order_relaxed);
  request.state_.store(LockRequest::kWaiting, std::memory_order_release);
  Granted others;
  const bool is_held = advance(request, others);
  if (!is_held) {
    resume(others);
    return false;
  }
  request.granted_ = nullptr;
  request.state_.store(LockRequest::kHeld, std::memory_order_release);
  return true;
}

bool LockTable::try_acquire(LockRequest& request) {
  OUTRIGGER_ASSERT(request.state_.load() == LockRequest::kIdle);
  request.sort();
  for (size_t i = 0; i < request.keys_.size(); ++i) {
    const LockKey key = request.keys_[i];
    Shard& shard = shard_of(key.hash);
    MutexLock guard(shard.mutex);
    const auto found = shard.locks.find(key.hash);
    const bool known = found != shard.locks.end();
    if (known && (found->second.first || !free_for(found->second, key.mode))) {
      guard.unlock();
      unlock_first(request, i, {});
      return false;
    }
    take(known ? found->second : shard.locks[key.hash], key.mode);
  }
  request.next_.store(request.keys_.size(), std::memory_order_relaxed);
  request.state_.store(LockRequest::kHeld, std::memory_order_release);
  return true;
}

bool LockTable::cancel(LockRequest& request) {
  while (request.state_.load(std::memory_order_acquire) == LockRequest::kWaiting) {
    const size_t at = request.next_.load(std::memory_order_acquire);
    if (at < request.keys_.size()) {
      const LockKey key = request.keys_[at];
      Shard& shard = shard_of(key.hash);
      MutexLock guard(shard.mutex);
      const auto found = shard.locks.find(key.hash);
      if (found != shard.locks.end() && unqueue(found->second, request)) {
        const Granted behind = grant_waiters(found->second);  // whom it alone held up
        guard.unlock();
        unlock_first(request, request.is_aside_ ? 0 : at, {});
        resume(behind);
        return true;
      }
    }
    std::this_thread::yield();  // another thread is moving it to its next key this moment
  }
  return false;
}

void LockTable::release(LockRequest& request, Left left) {
  OUTRIGGER_ASSERT(request.state_.load() == LockRequest::kHeld);
  Release release{left, 0, request.is_long_};
  if (left != Left::kNothing) release.number = releases_.fetch_add(1) + 1;
  unlock_first(request, request.keys_.size(), release);
}

bool LockTable::changed_since(uint64_t hash, uint64_t then) const {
  return trace_of(hash).changed > then;
}

bool LockTable::written_since(uint64_t hash, uint64_t then) const {
  return trace_of(hash).written > then;
}

size_t LockTable::size() const {
  size_t count = 0;
  for (size_t i = 0; i < kShards; ++i) {
    const Shard& shard = shards_[i];
    const MutexLock guard(shard.mutex);
    count += shard.locks.size();
  }
  return count;
}

HeldLocks::HeldLocks(HeldLocks&& other) noexcept
    : table_(other.table_),
      request_(std::exchange(other.request_, nullptr)),
      owned_(std::move(other.owned_)),
      left_(other.left_) {}

HeldLocks& HeldLocks::operator=(HeldLocks&& other) noexcept {
  if (this == &other) return *this;
  release();
  table_ = other.table_;
  request_ = std::exchange(other.request_, nullptr);
  owned_ = std::move(other.owned_);
  left_ = other.left_;
  return *this;
}

HeldLocks HeldLocks::try_take(LockTable& table, LockRequest& request) {
  return table.try_acquire(request) ? HeldLocks(table, request) : HeldLocks();
}

HeldLocks HeldLocks::try_take(LockTable& table, std::unique_ptr<LockRequest> request) {
  return table.try_acquire(*request) ? HeldLocks(table, std::move(request)) : HeldLocks();
}

void HeldLocks::release() {
  LockRequest* const request = std::exchange(request_, nullptr);
  if (request == nullptr) return;
  // One that waited may have been granted just before; one that was cancelled has nothing.
  if (!table_->cancel(*request) && request->held()) table_->release(*request, left_);
  owned_.reset();
}

}  // namespace outrigger
