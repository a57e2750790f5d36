#include "config/threads.h"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <sstream>
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

std::string first_line(const char* path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

}  // namespace

std::unique_ptr<Threads::Thread> SystemThreads::start(std::function<void()> run) {
  return std::make_unique<SystemThread>(std::move(run));
}

std::unique_ptr<Threads::Signal> SystemThreads::signal() {
  return std::make_unique<SystemSignal>();
}

void SystemThreads::sleep(std::chrono::microseconds time) { std::this_thread::sleep_for(time); }

uint32_t cores_of_quota(const std::string& cpu_max) {
  std::istringstream words(cpu_max);
  uint64_t quota_us = 0;
  uint64_t period_us = 0;
  if (!(words >> quota_us >> period_us) || quota_us == 0 || period_us == 0) return UINT32_MAX;
  return static_cast<uint32_t>(std::min<uint64_t>(UINT32_MAX, (quota_us - 1) / period_us + 1));
}

uint32_t usable_cores() {
  uint32_t cores = std::thread::hardware_concurrency();  // more than a cpu_set_t can name
  cpu_set_t usable;
  if (::sched_getaffinity(0, sizeof usable, &usable) == 0) {
    cores = static_cast<uint32_t>(CPU_COUNT(&usable));
  }
  return std::min(cores, cores_of_quota(first_line("/sys/fs/cgroup/cpu.max")));
}

Threads::TimePoint SystemThreads::now() const { return std::chrono::steady_clock::now(); }

}  // namespace outrigger
