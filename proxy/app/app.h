// The whole sidecar, put together: every part is made here and handed to those that need it. Parts
// are listed in the order they are made; they die in the opposite one.
//
// Threads: the loop (sessions, peers), the commit thread (fsync), the store worker (blocking
// questions), another for waits for mongod's journal, one that watches the oplog, the applier
// (peers' records into the store), the admin's own.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "config/log.h"
#include "config/metrics.h"
#include "config/policy.h"
#include "config/settings.h"
#include "proxy/admin/admin.h"
#include "proxy/admin/gauges.h"
#include "proxy/admin/status.h"
#include "proxy/app/descriptors.h"
#include "proxy/app/end_limit.h"
#include "proxy/mongo/oplog_watch.h"
#include "proxy/net/uv/signals.h"
#include "proxy/net/uv/uv_network.h"
#include "proxy/peer/peer_manager.h"
#include "proxy/peer/replica_exchange.h"
#include "proxy/session/server.h"
#include "proxy/writes/context.h"
#include "proxy/writes/durable_waits.h"
#include "replication/apply/applier.h"
#include "replication/outbox/rocks/rocks_outbox.h"
#include "replication/recovery/recovery.h"

namespace outrigger {

class App {
 public:
  App(Settings settings, Log& log);
  ~App();

  enum class Exit {
    kDrained,  // SIGTERM or SIGINT
    kFailed,   // it could not start; the log says why
    kRestart,  // the outbox had failed and is whole again: build a new App
  };
  // Opens, recovers, serves, drains. Once.
  [[nodiscard]] Exit run();

 private:
  [[nodiscard]] Status open();                 // what needs no store: data directory, admin port
  net::Task<void> start();                     // waits for the store, recovers, opens the doors
  [[nodiscard]] Status recover(Store& store);  // on the store worker
  void make_context();
  [[nodiscard]] Status open_doors();
  net::Task<void> stop();
  void on_signal(int signal);
  void tick();
  void tend(Store& store);  // on the store worker, every two seconds or so
  [[nodiscard]] AdminView admin_view();
  [[nodiscard]] StatusParts status() const;
  [[nodiscard]] Status ready() const;
  void warn_of_few_connections() const;
  void fail_start(const Error& error);

  const Settings settings_;
  Logger log_;
  Logger store_log_;
  EndLimit end_limit_;  // last to go: all that follow may wait for the store as they go
  SystemClock clock_;
  Metrics metrics_;
  Policy policy_;
  LockTable locks_;
  net::Loop loop_;
  net::UvNetwork network_{loop_};
  DescriptorPlan descriptors_;
  net::TaskGroup tasks_;
  std::unique_ptr<outbox::RocksOutbox> outbox_;
  std::unique_ptr<outbox::CommitThread> commit_;
  std::unique_ptr<Store> applier_store_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<Applier> applier_;
  std::unique_ptr<StoreWorker> worker_;
  std::unique_ptr<StoreWorker> journal_worker_;  // waits, and keeps nobody else waiting
  std::unique_ptr<StoreWorker> oplog_worker_;    // blocks most of the time
  std::unique_ptr<Store> recovery_store_;
  std::unique_ptr<Recovery> recovery_;
  std::unique_ptr<Facts> facts_;
  MessageRooms rooms_{loop_};
  std::unique_ptr<LoginRule> login_rule_;
  std::unique_ptr<ProxyMetrics> proxy_metrics_;
  std::unique_ptr<TurnAppends> turn_appends_;
  std::unique_ptr<DurableWaits> durable_waits_;
  std::unique_ptr<OplogWatch> oplog_watch_;  // none on a standalone
  std::unique_ptr<JournalWaits> journal_waits_;
  std::unique_ptr<ProxyContext> context_;
  std::unique_ptr<ReplicaExchange> exchange_;
  std::unique_ptr<PeerManager> peers_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Gauges> gauges_;
  std::unique_ptr<net::Timer> timer_;
  std::unique_ptr<net::SignalWatch> signals_;
  StoreInfo store_info_;
  StoreEndpoint store_endpoint_;
  std::string store_text_;
  int64_t started_ms_ = 0;
  std::atomic<bool> recovered_{false};  // replica_ and store_info_ may be read by any thread
  std::atomic<bool> serving_{false};
  std::atomic<bool> store_available_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> tending_{false};
  std::mutex scrape_mutex_;  // gauges_
  Exit exit_ = Exit::kDrained;
  std::unique_ptr<Admin> admin_;  // first to go: its threads read all of the above
};

}  // namespace outrigger
