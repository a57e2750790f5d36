#include "replication/outbox/commit_thread.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace outrigger::outbox {

CommitThread::CommitThread(LogPort& log, Threads& threads, Hooks hooks)
    : log_(log), threads_(threads), hooks_(std::move(hooks)) {
  thread_ = threads_.start([this] { run(); });
}

CommitThread::~CommitThread() { stop(); }

void CommitThread::when_durable(Callback callback, std::chrono::microseconds needed_in) {
  const TimePoint now = threads_.now();
  std::chrono::microseconds put_off(0);
  if (needed_in.count() > 0) {
    const MutexLock lock(mutex_);
    put_off = std::clamp(needed_in - 2 * sync_time_, put_off, kLateMax);
  }
  enlist(std::move(callback), &Wishes::needed, now + put_off);
}

void CommitThread::when_durable_soon(Callback callback) {
  enlist(std::move(callback), &Wishes::soon, threads_.now() + kSoon);
}

void CommitThread::request_sync_soon() { enlist(nullptr, &Wishes::soon, threads_.now() + kSoon); }

void CommitThread::enlist(Callback callback, Wish wish, TimePoint begin) {
  MutexLock lock(mutex_);
  if (stopping_) {
    lock.unlock();
    if (callback) callback(fail(ErrorCode::kClosed, "sync outbox", "", "shutting down"));
    return;
  }
  if (callback) waiting_.push_back(std::move(callback));
  std::optional<TimePoint>& present = wishes_.*wish;
  if (present && *present <= begin) return;  // the thread will be there earlier anyway
  present = begin;
  const bool in_time = awake_at_ <= begin;
  lock.unlock();
  if (!in_time) wake_.notify_one();
}

void CommitThread::run() {
  const MutexLock lock(mutex_);
  bool was_busy = false;
  for (;;) {
    const std::optional<TimePoint> begin = wishes_.needed ? wishes_.needed : wishes_.soon;
    if (stopping_ && !begin) return;
    const TimePoint now = threads_.now();
    if (begin && (stopping_ || *begin <= now)) {
      serve();
      was_busy = true;
    } else if (begin || was_busy) {
      // After a sync there mostly is another: whoever wishes for it need not wake the thread.
      awake_at_ = begin ? *begin : now + kSoon;
      was_busy = begin.has_value();
      (void)wake_.wait_until(mutex_, TimePoint(awake_at_));
    } else {
      awake_at_ = TimePoint::max();
      wake_.wait(mutex_);
    }
    awake_at_ = TimePoint::min();
  }
}

void CommitThread::serve() {
  // Who comes from here on wrote after this sync may have begun: the next one is theirs.
  const std::vector<Callback> served = std::exchange(waiting_, {});
  wishes_ = {};
  Status status;
  if (failure_) status = tl::unexpected<Error>(*failure_);
  const bool syncing = status.has_value();
  mutex_.unlock();

  std::chrono::microseconds took(0);
  if (syncing) {
    const TimePoint start = threads_.now();
    status = log_.sync();
    took = std::chrono::duration_cast<std::chrono::microseconds>(threads_.now() - start);
    if (status) {
      if (hooks_.synced) hooks_.synced(took.count(), served.size());
    } else {
      mutex_.lock();
      failure_ = status.error();
      mutex_.unlock();
      if (hooks_.failed) hooks_.failed(status.error());
    }
  }
  for (const Callback& callback : served) callback(status);
  mutex_.lock();
  if (syncing) sync_time_ += (took - sync_time_) / 8;
}

void CommitThread::resume() {
  const MutexLock lock(mutex_);
  failure_.reset();
}

std::optional<Error> CommitThread::failure() const {
  const MutexLock lock(mutex_);
  return failure_;
}

void CommitThread::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.reset();
}

Status sync_now(CommitThread& commit) {
  struct Answer {
    explicit Answer(Threads& threads) : came(threads) {}
    Mutex mutex;
    Condition came;
    std::optional<Status> status GUARDED_BY(mutex);
  };
  const auto answer = std::make_shared<Answer>(commit.threads());
  commit.when_durable([answer](const Status& status) {
    const MutexLock lock(answer->mutex);
    answer->status = status;
    answer->came.notify_one();
  });
  const MutexLock lock(answer->mutex);
  while (!answer->status) answer->came.wait(answer->mutex);
  return *answer->status;
}

}  // namespace outrigger::outbox
