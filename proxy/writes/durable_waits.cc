#include "proxy/writes/durable_waits.h"

#include "replication/outbox/commit_thread.h"

namespace outrigger {

DurableWaits::Shot DurableWaits::join(bool at_once) {
  at_once_ = at_once_ || at_once;
  auto shot = std::make_shared<net::OneShot<Status>>(loop_);
  joined_.push_back(shot);
  if (joined_.size() == 1) asking_.spawn(ask());
  return shot;
}

void DurableWaits::before_long() {
  when_durable_([](const Status&) {}, outbox::CommitThread::kLateMax * 4);
}

void DurableWaits::learn(int64_t answer_us) {
  // A fast answer must not wait for a sync put off for slow ones: down at once, up slowly.
  const int64_t more = answer_us - answer_us_;
  answer_us_ += more < 0 ? more / 4 : more / 32;
}

net::Task<void> DurableWaits::ask() {
  co_await loop_.end_of_turn();
  auto shots = std::make_shared<const std::vector<Shot>>(std::exchange(joined_, {}));
  std::function<void(const Status&)> done = [shots, &loop = loop_](const Status& status) {
    loop.post([shots, status] {
      for (const Shot& shot : *shots) shot->set(status);
    });
  };
  const bool at_once = std::exchange(at_once_, false);
  when_durable_(std::move(done), std::chrono::microseconds(at_once ? 0 : answer_us_));
}

}  // namespace outrigger
