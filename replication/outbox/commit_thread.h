// The one thread that syncs the log. Writers append to the page cache themselves and then ask to be
// told when that is on disk; one sync serves everybody who asked before it began, so the more
// writers wait, the less each pays (group commit), and nobody else ever blocks on the disk.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "config/result.h"

namespace outrigger::outbox {

// What the thread needs of a log. Database is one; tests use MemoryLog.
class LogPort {
 public:
  virtual ~LogPort() = default;
  // Makes durable everything written before the call. Blocks. Called by one thread at a time.
  [[nodiscard]] virtual Status sync() = 0;
};

class CommitThread {
 public:
  using Callback = std::function<void(const Status&)>;
  struct Hooks {
    // After every successful sync, on the commit thread: how long it took, whom it served.
    std::function<void(int64_t sync_us, size_t waiters)> synced;
    // After a failed one: from then on the thread is fenced.
    std::function<void(const Error&)> failed;
  };
  // How long a sync that nobody waits for urgently may be put off.
  static constexpr std::chrono::microseconds kSoon{1000};

  // Starts the thread. `log` must outlive it.
  explicit CommitThread(LogPort& log) : CommitThread(log, Hooks()) {}
  CommitThread(LogPort& log, Hooks hooks);
  ~CommitThread();  // stop()
  CommitThread(const CommitThread&) = delete;
  CommitThread& operator=(const CommitThread&) = delete;

  // Calls back on the commit thread once everything written before this call is durable, or with
  // the error that means it may not be. Callbacks must be short and hand over to their own thread.
  // From any thread. After stop(): kClosed, at once, on the calling thread.
  void when_durable(Callback callback);
  // The same without haste: rides on the next sync, which is at most kSoon away.
  void when_durable_soon(Callback callback);
  // A sync at most kSoon from now, for nobody in particular.
  void request_sync_soon();

  // After an error nothing is synced and every caller gets that error, until resume(): called once
  // the log has been closed, reopened and found whole. From any thread.
  void resume();
  [[nodiscard]] std::optional<Error> fenced() const;

  // Serves everyone who asked before, then ends the thread. Idempotent; not from a callback.
  void stop();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  void enlist(Callback callback, TimePoint deadline);
  void run();
  void serve(std::unique_lock<std::mutex>& lock);

  LogPort& log_;
  const Hooks hooks_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Callback> waiting_;      // under mutex_, like all below
  std::optional<TimePoint> deadline_;  // of the earliest wish; none: nothing to do
  std::optional<Error> fenced_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace outrigger::outbox
