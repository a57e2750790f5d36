#include "proxy/net/loop.h"

#include "config/result.h"

namespace outrigger::net {

namespace {

// Ready coroutines that wake each other run this many rounds before sockets are looked at again.
constexpr int kReadyRoundsMax = 16;

// The last thing a task does may happen right before the loop waits; this keeps it from waiting.
Task<void> then_interrupt(Task<void> task, LoopDriver& driver) {
  co_await std::move(task);
  driver.interrupt();
}

}  // namespace

Loop::Loop(std::unique_ptr<LoopDriver> driver)
    : read_buffer_(new char[kReadBufferBytes]), driver_(std::move(driver)) {
  driver_->attach(*this);
}

Loop::~Loop() {
  run_ready();
  driver_->finish();
}

void Loop::run() {
  while (!stop_asked_) driver_->run();
  stop_asked_ = false;
}

void Loop::stop() {
  stop_asked_ = true;
  driver_->wake();
}

void Loop::post(std::function<void()> function) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(function));
  }
  if (first) driver_->wake();
}

void Loop::run_posted() {
  if (stop_asked_) driver_->interrupt();
  std::vector<std::function<void()>> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(posted_);
  }
  for (auto& function : batch) function();
}

void Loop::block_on(Task<void> task) {
  TaskGroup group;
  group.spawn(then_interrupt(std::move(task), *driver_));
  while (!group.empty()) driver_->run_turn();
}

void Loop::resume_soon(std::coroutine_handle<> waiting) { ready_.push_back(waiting); }

void Loop::run_ready() {
  for (int round = 0; !ready_.empty() && round < kReadyRoundsMax; ++round) {
    resuming_.swap(ready_);
    for (auto waiting : resuming_) waiting.resume();
    resuming_.clear();
  }
}

bool Loop::is_borrowed(std::string_view bytes) const {
  const std::less<const char*> before;
  const char* begin = read_buffer_.get();
  return !before(bytes.data(), begin) && before(bytes.data(), begin + kReadBufferBytes);
}

Timer::Timer(Loop& loop) : loop_(loop), handle_(loop.driver().make_timer(*this)) {}

Timer::~Timer() {
  OUTRIGGER_ASSERT(sleeper_ == nullptr);
  handle_->release();
}

void Timer::fire() {
  if (sleeper_ != nullptr) {
    Sleep* sleeper = std::exchange(sleeper_, nullptr);
    sleeper->elapsed_ = true;
    sleeper->waiting_.resume();
  } else if (auto callback = std::exchange(callback_, nullptr)) {
    callback();
  }
}

void Timer::Sleep::await_suspend(std::coroutine_handle<> waiting) {
  OUTRIGGER_ASSERT(timer_.sleeper_ == nullptr && !timer_.callback_);
  waiting_ = waiting;
  timer_.sleeper_ = this;
  timer_.handle_->arm(ms_);
}

void Timer::start(int64_t ms, std::function<void()> callback) {
  OUTRIGGER_ASSERT(sleeper_ == nullptr);
  if (is_closed_) return;
  callback_ = std::move(callback);
  handle_->arm(ms);
}

void Timer::cancel() {
  handle_->disarm();
  callback_ = nullptr;
  if (sleeper_ == nullptr) return;
  loop_.resume_soon(std::exchange(sleeper_, nullptr)->waiting_);
}

void Timer::close() {
  is_closed_ = true;
  cancel();
}

}  // namespace outrigger::net
