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

Metrics::Counter& transactions(Metrics& metrics, const char* end) {
  return metrics.counter("transactions_total", "transactions of apps that wrote, by their end",
                         {{"end", end}});
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
      refused_transaction(refused(metrics, "transaction")),
      committed(transactions(metrics, "committed")),
      aborted(transactions(metrics, "aborted")),
      lost(transactions(metrics, "lost")) {}

net::Task<bool> lock_for(ProxyContext& context, Transaction& transaction,
                         std::vector<LockKey> keys) {
  LockRequest* const asked = transaction.ask_for(keys);
  if (asked == nullptr) co_return true;
  const int64_t until_us = context.clock.monotonic_us() + limits::kTransactionLockUs;
  HeldLocks locks = co_await wait_for_locks(context, *asked, until_us);
  if (!locks) co_return false;
  transaction.keep(std::move(locks));
  co_return true;
}

Status note_backend(ProxyContext& context, Backend& backend) {
  if (backend.note) return {};
  Result<outbox::BackendNote> noted =
      context.replica.note_backend(backend.lsid_text(), backend.stream().local_address());
  if (!noted) return tl::unexpected(noted.error());
  backend.note = std::move(*noted);
  return {};
}

net::Task<bool> is_journaled(ProxyContext& context, Backend& backend) {
  std::function<Status(Store&)> job = [](Store& store) { return store.wait_journaled(); };
  const Status journaled = co_await context.store.ask(std::move(job));
  if (!journaled) co_return false;
  const Result<std::string> same = co_await backend.ping();  // the mongod that did it
  co_return same.has_value();
}

net::Task<HeldLocks> wait_for_locks(ProxyContext& context, LockRequest& request,
                                    std::optional<int64_t> deadline_us) {
  return wait_for_locks(context, context.locks, request, deadline_us);
}

namespace {

net::Task<HeldLocks> wait_for_locks(ProxyContext& context, LockTable& table, LockRequest& request) {
  auto granted = std::make_shared<net::Event>(context.loop);
  net::Loop& loop = context.loop;
  std::function<void()> hand_over = [granted, &loop] { loop.post([granted] { granted->set(); }); };
  const bool at_once = table.acquire(request, std::move(hand_over));
  HeldLocks locks(table, request);
  if (!at_once) co_await granted->wait();
  co_return locks;
}

}  // namespace

net::Task<HeldLocks> wait_for_locks(ProxyContext& context, LockTable& table, LockRequest& request,
                                    std::optional<int64_t> deadline_us) {
  HeldLocks locks;
  if (!deadline_us) {
    locks = co_await wait_for_locks(context, table, request);
    co_return locks;
  }
  auto granted = std::make_shared<net::OneShot<bool>>(context.loop);
  net::Loop& loop = context.loop;
  std::function<void()> hand_over = [granted, &loop] {
    loop.post([granted] { granted->set(true); });
  };
  const bool at_once = table.acquire(request, std::move(hand_over));
  locks = HeldLocks(table, request);
  if (at_once) co_return locks;
  net::Timer limit(context.loop);
  const int64_t left_us = *deadline_us - context.clock.monotonic_us();
  limit.start(std::max<int64_t>(0, left_us / 1000), [granted, &table, &request] {
    if (table.cancel(request)) granted->set(false);
  });
  co_await granted->wait();
  limit.close();
  co_return locks;
}

}  // namespace outrigger
