// What is asked of the store on connections of their own, and what is noted of it: its journal, the
// oplog's end, whether its TTL monitor rests.
#pragma once

#include <memory>

#include "proxy/expiry/store_monitor.h"
#include "proxy/mongo/journal_keeper.h"
#include "proxy/mongo/oplog_watch.h"
#include "proxy/mongo/store_worker.h"
#include "replication/site/replica.h"

namespace outrigger {

// Everything is borrowed and outlives what is made.
[[nodiscard]] std::unique_ptr<JournalKeeper> make_journal_keeper(net::Loop& loop,
                                                                 StoreWorker& worker,
                                                                 Replica& replica,
                                                                 const ServedProcess& served);
[[nodiscard]] std::unique_ptr<OplogWatch> make_oplog_watch(net::Loop& loop, StoreWorker& worker,
                                                           const Clock& clock);

[[nodiscard]] MonitorMark make_monitor_mark(outbox::Outbox& outbox, outbox::CommitThread& commit);

}  // namespace outrigger
