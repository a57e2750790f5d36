// The sidecar's own, blocking access to the store, on a thread of its own, for sessions that need
// it now and then: facts about a collection, an image the app's own user may not read, a write in
// doubt. Jobs run one at a time, in order, for all loops; each is answered on the loop that asks.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "config/threads.h"
#include "proxy/net/loop.h"
#include "replication/store/store.h"

namespace outrigger {

class StoreWorker {
 public:
  StoreWorker(std::unique_ptr<Store> store, Threads& threads);
  ~StoreWorker();
  StoreWorker(const StoreWorker&) = delete;
  StoreWorker& operator=(const StoreWorker&) = delete;

  // Runs `job` on the worker's thread. Thread-safe. After stop() jobs are dropped.
  void post(std::function<void(Store&)> job);
  // `T answer = co_await worker.ask(loop, std::move(job));` on the thread of `loop`, which outlives
  // the worker. T must be movable; the job runs on the worker's thread. A named std::function, not
  // a temporary lambda (GCC 12).
  template <typename T>
  net::Task<T> ask(net::Loop& loop, std::function<T(Store&)> job) {
    auto shot = std::make_shared<net::OneShot<T>>(loop);
    std::function<void(Store&)> wrapped = [&loop, shot, job = std::move(job)](Store& store) {
      auto answer = std::make_shared<T>(job(store));
      loop.post([shot, answer] { shot->set(std::move(*answer)); });
    };
    post(std::move(wrapped));
    T answer = co_await shot->wait();
    co_return answer;
  }

  // Whoever tries again and again should now give up: stopping() is true. Jobs still run.
  void wind_down();
  // Finishes the job under way, drops the rest, ends the thread. Nobody may wait for an answer.
  void stop();
  [[nodiscard]] bool stopping() const;

 private:
  void run();

  std::unique_ptr<Store> store_;
  mutable Mutex mutex_;
  Condition wake_;
  std::deque<std::function<void(Store&)>> jobs_ GUARDED_BY(mutex_);
  bool winding_down_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<Threads::Thread> thread_;
};

// The worker as one loop sees it. Both outlive it.
class StoreAsker {
 public:
  StoreAsker(StoreWorker& worker, net::Loop& loop) : worker_(&worker), loop_(&loop) {}

  template <typename T>
  net::Task<T> ask(std::function<T(Store&)> job) const {
    return worker_->ask(*loop_, std::move(job));
  }
  [[nodiscard]] bool stopping() const { return worker_->stopping(); }

 private:
  StoreWorker* worker_;
  net::Loop* loop_;
};

}  // namespace outrigger
