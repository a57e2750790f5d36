// The one thread that syncs the log. Writers append to the page cache themselves and then ask to be
// told when that is on disk; one sync serves everybody who asked before it began, so the more
// writers wait, the less each pays (group commit), and nobody else ever blocks on the disk.
//
// A writer mostly waits for its store as well, and longer. Who says when it will need the sync lets
// it begin late, so that more writers share it: the thread knows how long a sync takes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "config/threads.h"

namespace outrigger::outbox {

// What the thread needs of a log. RocksOutbox is one; tests use MemoryLog.
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
    // After a failed one: from then on the thread counts as failed.
    std::function<void(const Error&)> failed;
  };
  // How long a sync that nobody waits for urgently may be put off.
  static constexpr std::chrono::microseconds kSoon{1000};
  // How long any sync may be put off because nobody needs it yet.
  static constexpr std::chrono::microseconds kLateMax{2000};

  // Starts the thread. `log` and `threads` must outlive it.
  CommitThread(LogPort& log, Threads& threads) : CommitThread(log, threads, Hooks()) {}
  CommitThread(LogPort& log, Threads& threads, Hooks hooks);
  ~CommitThread();  // stop()
  CommitThread(const CommitThread&) = delete;
  CommitThread& operator=(const CommitThread&) = delete;

  // Calls back on the commit thread once everything written before this call is durable, or with
  // the error that means it may not be. Callbacks must be short and hand over to their own thread.
  // From any thread. After stop(): kClosed, at once, on the calling thread.
  // `needed_in`: the caller has no use for it earlier; the sync begins when there is time for two
  // until then, at most kLateMax from now.
  void when_durable(Callback callback,
                    std::chrono::microseconds needed_in = std::chrono::microseconds(0));
  // The same without haste: rides on the next sync, or has its own kSoon from now.
  void when_durable_soon(Callback callback);
  // A sync soon, for nobody in particular.
  void request_sync_soon();

  // After an error nothing is synced and every caller gets that error, until resume(): called once
  // the log has been closed, reopened and found whole. From any thread.
  void resume();
  [[nodiscard]] std::optional<Error> failure() const;

  // Serves everyone who asked before, then ends the thread. Idempotent; not from a callback.
  void stop();
  [[nodiscard]] Threads& threads() const { return threads_; }

 private:
  using TimePoint = Threads::TimePoint;

  // When the next sync is to begin: for those who need it, else for those who do not hurry.
  struct Wishes {
    std::optional<TimePoint> needed;
    std::optional<TimePoint> soon;
  };
  using Wish = std::optional<TimePoint> Wishes::*;

  void enlist(Callback callback, Wish wish, TimePoint begin);
  void run();
  void serve() REQUIRES(mutex_);  // lets it go over the sync and the callbacks

  LogPort& log_;
  Threads& threads_;
  const Hooks hooks_;

  mutable Mutex mutex_;
  Condition wake_{threads_};
  std::vector<Callback> waiting_ GUARDED_BY(mutex_);
  Wishes wishes_ GUARDED_BY(mutex_);
  // When the thread looks again without being woken.
  TimePoint awake_at_ GUARDED_BY(mutex_) = TimePoint::min();
  std::optional<Error> failure_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::chrono::microseconds sync_time_ GUARDED_BY(mutex_){0};  // as of late

  std::unique_ptr<Threads::Thread> thread_;
};

// Everything written so far is on disk when this returns. Blocks: never on an event loop.
[[nodiscard]] Status sync_now(CommitThread& commit);

}  // namespace outrigger::outbox
