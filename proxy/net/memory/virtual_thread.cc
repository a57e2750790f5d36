#include "proxy/net/memory/virtual_thread.h"

#include <utility>

namespace outrigger::net {

void VirtualThread::run() {
  while (!is_interrupted_) turn();
  is_interrupted_ = false;
}

void VirtualThread::run_turn() {
  turn();
  is_interrupted_ = false;
}

void VirtualThread::turn() {
  timers_.fire_due();
  loop_->run_ready();
  if (std::exchange(is_woken_, false)) loop_->run_posted();
  loop_->run_ready();
  if (!is_interrupted_ && !loop_->has_ready() && !is_woken_) wait();
}

void VirtualThread::wait() {
  std::unique_lock lock(mutex_);
  const auto next = timers_.next_us();
  if (!next) return told_->wait(lock);
  const std::chrono::microseconds until(*next);
  (void)told_->wait_until(lock, Threads::TimePoint(until));
}

void VirtualThread::wake() {
  is_woken_ = true;
  told_->notify_one();
}

void VirtualThread::finish() {
  while (loop_->has_ready()) loop_->run_ready();
}

}  // namespace outrigger::net
