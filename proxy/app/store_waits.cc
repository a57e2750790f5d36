#include "proxy/app/store_waits.h"

#include <utility>

#include "replication/site/state/meta_keys.h"

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

std::unique_ptr<JournalKeeper> make_journal_keeper(net::Loop& loop, StoreWorker& worker,
                                                   Replica& replica, const ServedProcess& served) {
  JournalKeeper::Site site;
  site.answered = [&replica] { return replica.answered(); };
  site.journaled = [&replica] { return replica.journaled(); };
  site.tell = [&replica](const VersionVector& answered) { replica.journaled(answered); };
  return std::make_unique<JournalKeeper>(loop, std::move(site), [&worker, &served](auto done) {
    const auto wait = [&served](Store& store) { return wait_journaled(store, served); };
    ask_twice(worker, wait, std::move(done));
  });
}

std::unique_ptr<OplogWatch> make_oplog_watch(net::Loop& loop, StoreWorker& worker,
                                             const Clock& clock) {
  return std::make_unique<OplogWatch>(loop, clock, [&worker](auto duration, auto done) {
    const auto watch = [duration](Store& store) { return store.watch_oplog(duration); };
    ask_twice(worker, watch, std::move(done));
  });
}

MonitorMark make_monitor_mark(outbox::Outbox& outbox, outbox::CommitThread& commit) {
  MonitorMark mark;
  mark.read = [&outbox]() -> Result<std::string> {
    auto noted = outbox.meta(meta_keys::kRestingMonitor);
    if (!noted) return tl::unexpected(noted.error());
    return noted->value_or("");
  };
  mark.write = [&outbox, &commit](const std::string& process) -> Status {
    outbox::Batch batch;
    batch.put_meta(meta_keys::kRestingMonitor, process);
    if (Status written = outbox.write(std::move(batch)); !written) return written;
    return sync_now(commit);
  };
  return mark;
}

}  // namespace outrigger
