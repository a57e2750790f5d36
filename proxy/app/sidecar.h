// A site's sidecar, put together: every part that serves the site is made here and handed to those
// that need it. What it needs of the world comes as ports, so that the same sidecar runs in a
// process (app.h) and, many at once, in a world made from a seed (integration/world/).
//
// Parts are listed in the order they are made; they die in the opposite one.
//
// Threads: the loop's (sessions, peers), those of further loops that serve sessions (worker.h), the
// commit thread (fsync), the store worker (blocking questions), another for waits for mongod's
// journal, one that watches the oplog, the applier (peers' records into the store).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/log.h"
#include "config/metrics.h"
#include "config/policy.h"
#include "config/settings.h"
#include "config/threads.h"
#include "proxy/admin/status.h"
#include "proxy/app/listed_members.h"
#include "proxy/app/worker.h"
#include "proxy/expiry/expiry.h"
#include "proxy/mongo/journal_keeper.h"
#include "proxy/mongo/oplog_watch.h"
#include "proxy/mongo/store_gate.h"
#include "proxy/net/loop_thread.h"
#include "proxy/peer/peer_manager.h"
#include "proxy/peer/replica_exchange.h"
#include "proxy/session/places.h"
#include "proxy/session/server.h"
#include "proxy/transactions/transaction_sweep.h"
#include "proxy/transactions/transaction_table.h"
#include "proxy/writes/context.h"
#include "replication/apply/applier.h"
#include "replication/outbox/outbox.h"
#include "replication/recovery/recovery.h"

namespace outrigger {

// All of it outlives the sidecar.
struct SidecarPorts {
  net::Loop& loop;
  net::Network& network;
  const Clock& clock;
  Random& random;
  Threads& threads;
  outbox::Outbox& outbox;
  // A connection of the sidecar's own to the store, for one thread.
  std::function<Result<std::unique_ptr<Store>>()> open_store;
  StoreEndpoint store;  // the same for apps
  // A loop beside `loop`, for a thread that has not been started.
  std::function<std::unique_ptr<net::LoopThread>()> open_loop;
  Metrics& metrics;
  Logger log;
  Logger store_log;
  std::optional<StoreLogin> store_login = std::nullopt;  // the sidecar's own user there
  // What the stores that are opened show as unique (store/relaxed_indexes.h).
  std::shared_ptr<RelaxedIndexes> relaxed = std::make_shared<RelaxedIndexes>();
};

struct SidecarOptions {
  uint64_t connections_max = 0;
  size_t workers = 1;  // loops that serve connections; the first is the sidecar's own
  // It cannot start.
  std::function<void(const Error&)> on_failed;
  // The outbox had failed and can be used again: build a new sidecar on it. Once, on the loop.
  std::function<void()> on_healed;
};

class Sidecar {
 public:
  Sidecar(const Settings& settings, SidecarPorts ports, SidecarOptions options);
  // After stop(), or when open() failed.
  ~Sidecar();

  // What needs no store to answer: threads, and clients of it (whose address may be wrong). Once,
  // before start().
  [[nodiscard]] Status open();
  // Waits for the store, recovers, opens the doors. Goes on in the background.
  void start();
  // Whoever waits for the store should give up; nothing new begins. Any thread. False: it had been
  // asked to before.
  bool ask_to_stop() { return !stopping_.exchange(true); }
  // Apps may finish what is under way for so long; then all waiting is given up. Ends when nothing
  // runs any more.
  net::Task<void> stop(int64_t drain_ms);

  // ---- any thread
  [[nodiscard]] StatusParts status() const;
  // kUnavailable, kClosed: why apps should not come here now.
  [[nodiscard]] Status ready() const;
  // Nothing until it has recovered.
  [[nodiscard]] Replica* replica() const { return recovered_ ? replica_.get() : nullptr; }
  [[nodiscard]] bool serving() const { return serving_; }
  [[nodiscard]] const LockTable& locks() const { return locks_; }

 private:
  net::Task<void> run();
  // On the store worker.
  [[nodiscard]] Status look_at_store(Store& store);
  [[nodiscard]] Status recover(Store& store);
  [[nodiscard]] Status open_replica();
  void make_shared();
  net::Task<void> end_connections_to(std::string process);
  void make_workers();
  [[nodiscard]] ProxyContext context_of(Worker& worker);
  [[nodiscard]] Status open_doors();
  void start_expiry();
  void tick();
  void tend(Store& store);  // on the store worker, every second or so

  const Settings& settings_;
  const SidecarPorts ports_;
  const SidecarOptions options_;
  Logger log_;
  Logger store_log_;
  Policy policy_;
  ListedMembers members_;
  const StoreMembers reached_members_;  // from the site's own loop
  LockTable locks_;
  LockTable turns_;
  TransactionTable transactions_;
  net::TaskGroup tasks_;
  std::vector<std::unique_ptr<net::LoopThread>> loops_;    // of the workers but the first
  std::vector<std::shared_ptr<net::TlsContext>> app_tls_;  // of each worker
  std::unique_ptr<outbox::CommitThread> commit_;
  std::unique_ptr<Store> applier_store_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<Applier> applier_;
  std::unique_ptr<StoreWorker> worker_;
  std::unique_ptr<StoreWorker> journal_worker_;  // waits, and keeps nobody else waiting
  std::unique_ptr<StoreWorker> oplog_worker_;    // blocks most of the time
  std::unique_ptr<Store> recovery_store_;
  std::unique_ptr<Recovery> recovery_;
  CatalogueChanges changes_;
  std::atomic<size_t> own_questions_{0};
  std::atomic<size_t> output_bytes_{0};
  const RoomBudgets room_budgets_;
  Places places_;
  std::unique_ptr<LoginRule> login_rule_;
  std::unique_ptr<ProxyMetrics> proxy_metrics_;
  std::unique_ptr<TransactionSweep> transaction_sweep_;
  std::unique_ptr<OplogWatch> oplog_watch_;  // none on a standalone
  std::unique_ptr<JournalKeeper> journal_keeper_;
  std::unique_ptr<StoreGate> gate_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<ReplicaExchange> exchange_;
  std::unique_ptr<PeerManager> peers_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Expiry> expiry_;
  std::unique_ptr<net::Timer> timer_;
  StoreInfo store_info_;
  std::string store_text_;
  int64_t started_ms_ = 0;
  std::atomic<bool> recovered_{false};  // replica_ and store_info_ may be read by any thread
  std::atomic<bool> serving_{false};
  std::atomic<bool> store_available_{false};  // for apps
  std::atomic<bool> stopping_{false};
  std::atomic<bool> tending_{false};
  bool store_answers_ = true;  // of the worker's thread
};

}  // namespace outrigger
