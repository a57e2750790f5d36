#include "replication/outbox/commit_thread.h"

#include <algorithm>
#include <utility>

namespace outrigger::outbox {

CommitThread::CommitThread(LogPort& log, Hooks hooks) : log_(log), hooks_(std::move(hooks)) {
  thread_ = std::thread([this] { run(); });
}

CommitThread::~CommitThread() { stop(); }

void CommitThread::when_durable(Callback callback) {
  enlist(std::move(callback), std::chrono::steady_clock::now());
}

void CommitThread::when_durable_soon(Callback callback) {
  enlist(std::move(callback), std::chrono::steady_clock::now() + kSoon);
}

void CommitThread::request_sync_soon() {
  enlist(nullptr, std::chrono::steady_clock::now() + kSoon);
}

void CommitThread::enlist(Callback callback, TimePoint deadline) {
  std::unique_lock lock(mutex_);
  if (stopping_) {
    lock.unlock();
    if (callback) callback(fail(ErrorCode::kClosed, "sync outbox", "", "shutting down"));
    return;
  }
  if (callback) waiting_.push_back(std::move(callback));
  if (deadline_ && *deadline_ <= deadline) return;  // the thread will be there earlier anyway
  deadline_ = deadline;
  lock.unlock();
  wake_.notify_one();
}

void CommitThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!deadline_) {
      if (stopping_) return;
      wake_.wait(lock);
    } else if (!stopping_ && std::chrono::steady_clock::now() < *deadline_) {
      wake_.wait_until(lock, TimePoint(*deadline_));
    } else {
      serve(lock);
    }
  }
}

void CommitThread::serve(std::unique_lock<std::mutex>& lock) {
  // Who comes from here on wrote after this sync may have begun: the next one is theirs.
  const std::vector<Callback> served = std::exchange(waiting_, {});
  deadline_.reset();
  Status status;
  if (fenced_) status = tl::unexpected<Error>(*fenced_);
  const bool syncing = status.has_value();
  lock.unlock();

  if (syncing) {
    const TimePoint start = std::chrono::steady_clock::now();
    status = log_.sync();
    const auto took = std::chrono::steady_clock::now() - start;
    if (status) {
      const auto us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
      if (hooks_.synced) hooks_.synced(us, served.size());
    } else {
      lock.lock();
      fenced_ = status.error();
      lock.unlock();
      if (hooks_.failed) hooks_.failed(status.error());
    }
  }
  for (const Callback& callback : served) callback(status);
  lock.lock();
}

void CommitThread::resume() {
  std::lock_guard lock(mutex_);
  fenced_.reset();
}

std::optional<Error> CommitThread::fenced() const {
  std::lock_guard lock(mutex_);
  return fenced_;
}

void CommitThread::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

}  // namespace outrigger::outbox
