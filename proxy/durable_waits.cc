#include "proxy/durable_waits.h"

namespace outrigger {

DurableWaits::Shot DurableWaits::join() {
  auto shot = std::make_shared<net::OneShot<Status>>(loop_);
  joined_.push_back(shot);
  if (joined_.size() == 1) asking_.spawn(ask());
  return shot;
}

net::Task<void> DurableWaits::ask() {
  co_await loop_.end_of_turn();
  auto shots = std::make_shared<const std::vector<Shot>>(std::exchange(joined_, {}));
  std::function<void(const Status&)> done = [shots, &loop = loop_](const Status& status) {
    loop.post([shots, status] {
      for (const Shot& shot : *shots) shot->set(status);
    });
  };
  when_durable_(std::move(done));
}

}  // namespace outrigger
