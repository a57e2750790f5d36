#include "proxy/writes/context.h"

#include <algorithm>

namespace outrigger {
namespace {

Metrics::Counter& commands(Metrics& metrics, const char* kind) {
  return metrics.counter("commands_total", "commands of apps, by kind", {{"kind", kind}});
}

Metrics::Counter& refused(Metrics& metrics, const char* reason) {
  return metrics.counter("refused_total", "commands of apps refused, by reason",
                         {{"reason", reason}});
}

}  // namespace

ProxyMetrics::ProxyMetrics(Metrics& metrics)
    : reads(commands(metrics, "read")),
      writes(commands(metrics, "write")),
      hellos(commands(metrics, "hello")),
      others(commands(metrics, "other")),
      capture_seconds(metrics.histogram("capture_seconds", "a run of a write, lock to settled",
                                        Metrics::latency_bounds())),
      connections(metrics.gauge("connections", "client connections")),
      strangers_closed(metrics.counter(
          "strangers_closed_total",
          "connections closed that never logged in, to make room or for want of words")),
      writes_in_doubt(metrics.gauge("writes_in_doubt", "writes whose answer never came")),
      writes_looked_at(metrics.counter("writes_looked_at_total",
                                       "writes the store answered with an error that may have "
                                       "come after them")),
      refused_unsupported(refused(metrics, "unsupported")),
      refused_unavailable(refused(metrics, "unavailable")),
      refused_transaction(refused(metrics, "transaction")) {}

net::Task<void> wait_for_locks(ProxyContext& context, LockRequest& locks) {
  auto granted = std::make_shared<net::Event>(context.loop);
  net::Loop& loop = context.loop;
  std::function<void()> hand_over = [granted, &loop] { loop.post([granted] { granted->set(); }); };
  if (!context.locks.acquire(locks, std::move(hand_over))) co_await granted->wait();
}

net::Task<bool> wait_for_locks(ProxyContext& context, LockRequest& locks,
                               std::optional<int64_t> deadline_us) {
  if (!deadline_us) {
    co_await wait_for_locks(context, locks);
    co_return true;
  }
  auto granted = std::make_shared<net::OneShot<bool>>(context.loop);
  net::Loop& loop = context.loop;
  std::function<void()> hand_over = [granted, &loop] {
    loop.post([granted] { granted->set(true); });
  };
  if (context.locks.acquire(locks, std::move(hand_over))) co_return true;
  net::Timer limit(context.loop);
  const int64_t left_us = *deadline_us - context.clock.monotonic_us();
  limit.start(std::max<int64_t>(0, left_us / 1000), [granted, &context, &locks] {
    if (context.locks.cancel(locks)) granted->set(false);
  });
  const bool held = co_await granted->wait();
  limit.close();
  co_return held;
}

}  // namespace outrigger
