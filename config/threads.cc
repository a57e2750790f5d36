#include "config/threads.h"

#include <sched.h>

#include <condition_variable>
#include <thread>
#include <utility>

namespace outrigger {
namespace {

class SystemThread final : public Threads::Thread {
 public:
  explicit SystemThread(std::function<void()> run) : thread_(std::move(run)) {}
  SystemThread(const SystemThread&) = delete;
  SystemThread& operator=(const SystemThread&) = delete;
  ~SystemThread() override { thread_.join(); }

 private:
  std::thread thread_;
};

class SystemSignal final : public Threads::Signal {
 public:
  void notify_one() override { condition_.notify_one(); }
  void notify_all() override { condition_.notify_all(); }
  void wait(std::unique_lock<std::mutex>& lock) override { condition_.wait(lock); }
  bool wait_until(std::unique_lock<std::mutex>& lock, Threads::TimePoint until) override {
    return condition_.wait_until(lock, until) == std::cv_status::no_timeout;
  }

 private:
  std::condition_variable condition_;
};

}  // namespace

std::unique_ptr<Threads::Thread> SystemThreads::start(std::function<void()> run) {
  return std::make_unique<SystemThread>(std::move(run));
}

std::unique_ptr<Threads::Signal> SystemThreads::signal() {
  return std::make_unique<SystemSignal>();
}

void SystemThreads::sleep(std::chrono::microseconds time) { std::this_thread::sleep_for(time); }

uint32_t usable_cores() {
  cpu_set_t usable;
  if (::sched_getaffinity(0, sizeof usable, &usable) == 0) {
    return static_cast<uint32_t>(CPU_COUNT(&usable));
  }
  return std::thread::hardware_concurrency();  // more than a cpu_set_t can name
}

Threads::TimePoint SystemThreads::now() const { return std::chrono::steady_clock::now(); }

}  // namespace outrigger
