#include "proxy/expiry/member_monitors.h"

namespace outrigger {
namespace {

constexpr int64_t kTendMs = 3'000;
constexpr int64_t kWakeMs = 1'500;

}  // namespace

MemberMonitors::MemberMonitors(ProxyContext& context, const std::optional<StoreLogin>& login,
                               const MonitorMark& mark)
    : loop_(context.loop) {
  const size_t count = context.members.size();
  for (size_t i = 0; count > 1 && i < count; ++i) {
    members_.push_back(std::make_unique<Each>(context, login, mark, i));
  }
}

void MemberMonitors::tend(bool rests) {
  for (const auto& each : members_) {
    if (!each->is_busy) tasks_.spawn(tend(*each, rests));
  }
}

// A member that is down or frozen is asked again the next time.
net::Task<void> MemberMonitors::tend(Each& each, bool rests) {
  each.is_busy = true;
  net::Timer limit(loop_);
  limit.start(kTendMs, [&each] { each.connection.close(); });
  const Status opened = co_await each.connection.open();
  if (opened) (void)co_await each.monitor.tend(rests);
  limit.close();
  each.is_busy = false;
}

net::Task<void> MemberMonitors::give_back() {
  co_await close();
  for (const auto& each : members_) tasks_.spawn(give_back(*each));
  co_await tasks_.until_empty();
}

net::Task<void> MemberMonitors::give_back(Each& each) {
  net::Timer limit(loop_);
  limit.start(kWakeMs, [&each] { each.connection.close(); });
  (void)co_await each.monitor.give_back();
  limit.close();
  each.connection.close();
}

net::Task<void> MemberMonitors::close() {
  for (const auto& each : members_) each->connection.close();
  co_await tasks_.until_empty();
}

}  // namespace outrigger
