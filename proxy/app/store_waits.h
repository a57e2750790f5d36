// What the write path waits for on connections of their own: the journal, the oplog's end.
#pragma once

#include <memory>

#include "config/metrics.h"
#include "proxy/mongo/oplog_watch.h"
#include "proxy/mongo/store_worker.h"
#include "proxy/writes/journal_waits.h"

namespace outrigger {

// Everything is borrowed and outlives what is made. `watch` may be null.
[[nodiscard]] std::unique_ptr<JournalWaits> make_journal_waits(net::Loop& loop, StoreWorker& worker,
                                                               OplogWatch* watch, Metrics& metrics);
[[nodiscard]] std::unique_ptr<OplogWatch> make_oplog_watch(net::Loop& loop, StoreWorker& worker,
                                                           const Clock& clock);

}  // namespace outrigger
