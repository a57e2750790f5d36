#include "proxy/app/store_waits.h"

#include <utility>

namespace outrigger {
namespace {

// A worker's connection may have been cut while nobody used it: the store is asked once more then.
void ask_twice(StoreWorker& worker, std::function<Status(Store&)> ask,
               std::function<void(const Status&)> done) {
  worker.post([ask = std::move(ask), done = std::move(done)](Store& store) {
    Status answer = ask(store);
    if (!answer && answer.error().code == ErrorCode::kUnavailable) answer = ask(store);
    done(answer);
  });
}

}  // namespace

std::unique_ptr<JournalWaits> make_journal_waits(net::Loop& loop, StoreWorker& worker,
                                                 OplogWatch* watch, Metrics& metrics) {
  JournalWaits::WhenJournaled when_journaled = [&worker](auto done) {
    ask_twice(
        worker, [](Store& store) { return store.wait_journaled(); }, std::move(done));
  };
  auto& batch = metrics.histogram("journal_batch", "writes served by one wait for mongod's journal",
                                  Metrics::count_bounds());
  JournalWaits::Served served = [&batch](size_t writes) {
    batch.Observe(static_cast<double>(writes));
  };
  JournalWaits::Sent sent = [watch](bool alone) {
    if (watch) watch->write(alone);
  };
  return std::make_unique<JournalWaits>(loop, std::move(when_journaled), std::move(served),
                                        std::move(sent));
}

std::unique_ptr<OplogWatch> make_oplog_watch(net::Loop& loop, StoreWorker& worker,
                                             const Clock& clock) {
  return std::make_unique<OplogWatch>(loop, clock, [&worker](auto duration, auto done) {
    const auto watch = [duration](Store& store) { return store.watch_oplog(duration); };
    ask_twice(worker, watch, std::move(done));
  });
}

}  // namespace outrigger
