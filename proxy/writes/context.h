// What the sessions of one loop share, with each other and with those of other loops. Built by the
// app, which owns all of it; everything here outlives every session. What is the loop's belongs to
// its thread; what is the site's is thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/limits.h"
#include "config/log.h"
#include "config/metrics.h"
#include "config/policy.h"
#include "config/random.h"
#include "config/settings.h"
#include "proxy/capture/run.h"
#include "proxy/mongo/backend.h"
#include "proxy/mongo/facts.h"
#include "proxy/mongo/fresh_ids.h"
#include "proxy/mongo/login_rule.h"
#include "proxy/mongo/message_room.h"
#include "proxy/mongo/oplog_watch.h"
#include "proxy/mongo/store_gate.h"
#include "proxy/mongo/store_worker.h"
#include "proxy/mongo/wire/op_compressed.h"
#include "proxy/net/loop.h"
#include "proxy/net/tls.h"
#include "proxy/transactions/transaction_table.h"
#include "proxy/writes/durable_waits.h"
#include "proxy/writes/turn_appends.h"
#include "replication/outbox/ledger.h"
#include "replication/recovery/recovery.h"
#include "replication/site/lock_table.h"
#include "replication/site/replica.h"
#include "replication/store/store.h"

namespace outrigger {

// Numbers of the write and read paths, looked up once.
struct ProxyMetrics {
  explicit ProxyMetrics(Metrics& metrics);
  Metrics::Counter& reads;
  Metrics::Counter& writes;
  Metrics::Counter& hellos;
  Metrics::Counter& others;
  Metrics::Histogram& capture_seconds;
  Metrics::Gauge& connections;
  Metrics::Counter& strangers_closed;
  Metrics::Gauge& writes_in_doubt;
  Metrics::Counter& writes_looked_at;
  Metrics::Counter& refused_unsupported;
  Metrics::Counter& refused_unavailable;
  Metrics::Counter& refused_transaction;
  Metrics::Counter& committed;
  Metrics::Counter& aborted;  // by the app, by an error, by us
  Metrics::Counter& lost;     // ended at mongod without a word, or their app is gone
};

// Documents of a collection of the database `outrigger` (session/own_database.h).
struct OwnPage {
  std::vector<std::string> documents;  // BSON
  std::optional<LedgerPlace> next;     // of the page behind this; nothing: this was the last
};

struct ProxyContext {
  // ---- the loop's
  net::Loop& loop;
  TurnAppends& appends;
  DurableWaits& durable_waits;
  Facts& facts;
  MessageRooms& rooms;
  FreshIds& fresh_ids;
  StoreAsker store;
  const StoreMembers& members;               // reached from here
  std::shared_ptr<net::TlsContext> app_tls;  // what apps speak; none: nothing over their sockets

  // ---- the site's
  const wire::Compressors compressors;  // that apps may use
  const Policy& policy;
  Replica& replica;
  LockTable& locks;
  LockTable& turns;  // of attempts at one write (Capture::wait_for_attempts)
  LoginRule& login_rule;
  OplogWatch* oplog_watch;  // none on a standalone
  StoreGate& gate;
  TransactionTable& transactions;
  const Clock& clock;
  Random& random;
  ProxyMetrics& metrics;
  Logger log;
  bool retryable = false;  // the store is a replica set: sessions may number their writes
  FoundAgain found_again = FoundAgain::kNever;
  // Finds out what became of a write whose answer never came and settles it: kills what still runs
  // under its session or address, then looks. Blocks; called on the store worker's thread.
  std::function<Status(Store&, UndecidedWrite&, const std::string& lsid,
                       const std::string& address)>
      settle_in_doubt;
  // The store has answered a write, but not what became of some of its documents (indices of the
  // prepare): looks, under the locks the caller holds. Blocks, like the above.
  std::function<Result<SettledPrepare>(Store&, const LocalWrite&, const std::vector<size_t>&)>
      look_at;
  // Of the collection of that name ("": the list of them). Reads the disk: not on a loop's thread.
  // kNotFound: there is no such collection.
  std::function<Result<OwnPage>(const std::string& collection, const LedgerPlace& from)> own_page;
  std::atomic<size_t>& own_questions;  // of all apps, being answered
  std::atomic<size_t>& output_bytes;   // that outputs (outputs/output_write.h) hold

  // Of a document that is completed now.
  [[nodiscard]] Birth birth() const { return {clock.wall_ms(), fresh_ids}; }
};

// Before the first write of a connection: what a later run needs to fence it.
[[nodiscard]] Status note_backend(ProxyContext& context, Backend& backend);
// A crash of mongod takes back nothing that `backend` has been answered. False: it may.
net::Task<bool> is_journaled(ProxyContext& context, Backend& backend);
// Takes the locks, waiting for those who hold them; nothing blocks. The request outlives what this
// gives. With `deadline_us` of the monotonic clock until then; they may not be held.
net::Task<HeldLocks> wait_for_locks(ProxyContext& context, LockRequest& request,
                                    std::optional<int64_t> deadline_us = std::nullopt);
// The same of another table than that of documents.
net::Task<HeldLocks> wait_for_locks(ProxyContext& context, LockTable& table, LockRequest& request,
                                    std::optional<int64_t> deadline_us);

// Takes those that the transaction has not, to the end of it. False: somebody else has one, and
// goes on having it.
net::Task<bool> lock_for(ProxyContext& context, Transaction& transaction,
                         std::vector<LockKey> keys);

}  // namespace outrigger
