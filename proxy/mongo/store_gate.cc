#include "proxy/mongo/store_gate.h"

#include <utility>

namespace outrigger {
namespace {

constexpr int64_t kAgainMs = 20;  // while writes are being settled
constexpr int64_t kAfterErrorMs = 200;

}  // namespace

StoreGate::StoreGate(net::Loop& loop, StoreWorker& worker, ServedProcess& served, Step step,
                     Hooks hooks, Logger log)
    : loop_(loop),
      worker_(worker),
      served_(served),
      step_(std::move(step)),
      hooks_(std::move(hooks)),
      log_(std::move(log)),
      self_(std::make_shared<Self>(Self{this})) {
  served_.on_another([self = std::weak_ptr(self_), &loop = loop_] {
    loop.post([self] {
      if (const auto still = self.lock()) still->gate->shut();
    });
  });
}

StoreGate::~StoreGate() { served_.on_another(nullptr); }

net::Task<bool> StoreGate::pass(net::Loop& loop, std::string process, int64_t held_ms) {
  if (is_open_for(process)) co_return true;
  // A primary that has not heard yet that another was elected.
  if (is_of_earlier_term(process, served_.process())) co_return false;
  if (is_closed_) co_return false;
  auto shot = std::make_shared<net::OneShot<bool>>(loop);
  net::Timer limit(loop);
  limit.start(held_ms, [shot] { shot->set(false); });
  const std::weak_ptr<Self> self = self_;
  loop_.post([self, waiter = Waiter{&loop, process, shot}] {
    if (const auto still = self.lock()) still->gate->wait(waiter);
  });
  const bool woken = co_await shot->wait();
  limit.close();
  if (woken && is_open_for(process)) co_return true;
  loop_.post([self, shot] {
    const auto is_its = [&shot](const Waiter& waiter) { return waiter.shot == shot; };
    if (const auto still = self.lock()) std::erase_if(still->gate->waiting_, is_its);
  });
  co_return false;
}

void StoreGate::Waiter::tell(bool served) const {
  loop->post([shot = shot, served] { shot->set(served); });
}

// It may have been opened, or closed, on the waiter's way here.
void StoreGate::wait(Waiter waiter) {
  if (is_open_for(waiter.process)) return waiter.tell(true);
  if (is_closed_) return waiter.tell(false);
  shut();
  waiting_.push_back(std::move(waiter));
}

net::Task<void> StoreGate::close() {
  is_closed_ = true;
  wake(false);
  co_await putting_back_.until_empty();
}

void StoreGate::wake(bool served) {
  for (const Waiter& waiter : std::exchange(waiting_, {})) waiter.tell(served);
}

void StoreGate::shut() {
  if (is_closed_ || is_shut_.exchange(true)) return;
  putting_back_.spawn(put_back());
}

net::Task<void> StoreGate::put_back() {
  std::string said;
  net::Timer pause(loop_);
  const std::string was = served_.process();
  bool is_gone = false;
  while (!is_closed_) {
    if (!is_gone) {
      std::function<bool(Store&)> look = [&served = served_](Store& store) {
        return store.ping().has_value() && !served.is(store.process_id());
      };
      is_gone = co_await worker_.ask(loop_, std::move(look));
      if (is_gone) co_await hooks_.on_gone(was);
    }
    // Another one may be elected in between, and is first met by the step.
    std::function<Result<bool>(Store&)> job = [step = step_, is_gone](Store& store) {
      return step(store, is_gone);
    };
    const Result<bool> done = co_await worker_.ask(loop_, std::move(job));
    if (done && *done) break;
    if (!done && std::exchange(said, done.error().message()) != done.error().message()) {
      log_->warn("the store was started anew, apps wait until what it forgot is put back: {}",
                 said);
    }
    co_await pause.sleep_ms(done ? kAgainMs : kAfterErrorMs);
  }
  if (is_closed_) co_return;
  OUTRIGGER_ASSERT(is_gone || served_.process() == was);
  hooks_.on_open();  // before anybody passes, here or on another loop
  is_shut_ = false;
  wake(true);
}

}  // namespace outrigger
