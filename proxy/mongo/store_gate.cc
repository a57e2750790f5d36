#include "proxy/mongo/store_gate.h"

#include <utility>

namespace outrigger {
namespace {

constexpr int64_t kAgainMs = 20;  // while writes are being settled
constexpr int64_t kAfterErrorMs = 200;

}  // namespace

StoreGate::StoreGate(net::Loop& loop, StoreWorker& worker, ServedProcess& served, Step step,
                     std::function<void()> on_open, Logger log)
    : loop_(loop),
      worker_(worker),
      served_(served),
      step_(std::move(step)),
      on_open_(std::move(on_open)),
      log_(std::move(log)),
      self_(std::make_shared<Self>(Self{this})) {
  served_.on_another([self = std::weak_ptr(self_), &loop = loop_] {
    loop.post([self] {
      if (const auto still = self.lock()) still->gate->shut();
    });
  });
}

StoreGate::~StoreGate() { served_.on_another(nullptr); }

net::Task<bool> StoreGate::pass(std::string process) {
  if (!is_shut_ && served_.is(process)) co_return true;
  if (is_closed_) co_return false;
  shut();
  auto shot = std::make_shared<net::OneShot<bool>>(loop_);
  waiting_.push_back(shot);
  net::Timer limit(loop_);
  limit.start(kHeldMsMax, [shot] { shot->set(false); });
  const bool woken = co_await shot->wait();
  limit.close();
  std::erase(waiting_, shot);
  if (!woken) co_return false;
  co_return served_.is(process);
}

net::Task<void> StoreGate::close() {
  is_closed_ = true;
  wake(false);
  co_await putting_back_.until_empty();
}

void StoreGate::wake(bool served) {
  for (const Shot& shot : std::exchange(waiting_, {})) shot->set(served);
}

void StoreGate::shut() {
  if (is_closed_ || std::exchange(is_shut_, true)) return;
  putting_back_.spawn(put_back());
}

net::Task<void> StoreGate::put_back() {
  std::string said;
  net::Timer pause(loop_);
  while (!is_closed_) {
    Step job = step_;
    const Result<bool> done = co_await worker_.ask(std::move(job));
    if (done && *done) break;
    if (!done && std::exchange(said, done.error().message()) != done.error().message()) {
      log_->warn("the store was started anew, apps wait until what it forgot is put back: {}",
                 said);
    }
    co_await pause.sleep_ms(done ? kAgainMs : kAfterErrorMs);
  }
  is_shut_ = false;
  if (is_closed_) co_return;
  on_open_();
  wake(true);
}

}  // namespace outrigger
