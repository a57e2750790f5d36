#include "proxy/app/sidecar.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proxy/app/app_tls.h"
#include "proxy/app/own_pages.h"
#include "proxy/app/store_start.h"
#include "proxy/app/store_waits.h"
#include "replication/recovery/first_start.h"

namespace outrigger {
namespace {

constexpr int64_t kTickMs = 1'000;
constexpr int64_t kExpiryEndsMs = 500;
constexpr auto kStoreAgain = std::chrono::milliseconds(500);

ReplicaOptions replica_options(const Settings& settings, Policy& policy,
                               std::shared_ptr<RelaxedIndexes> relaxed) {
  ReplicaOptions options;
  options.relaxed = std::move(relaxed);
  options.site = settings.site;
  options.members.push_back(settings.site);
  for (const PeerSite& peer : settings.peers.sites) options.members.push_back(peer.site);
  options.ledger_bytes_max = settings.ledger.bytes_max;
  options.ledger_keep_ms = settings.ledger.keep_ms;
  options.max_ahead_ms = settings.clock.ahead_ms_max;
  options.policy = &policy;
  options.replicates = [&policy](std::string_view ns) { return policy.replicates(ns); };
  return options;
}

outbox::CommitThread::Hooks commit_hooks(Metrics& metrics, const Logger& log) {
  auto& sync_seconds =
      metrics.histogram("fsync_seconds", "sync of the outbox", Metrics::latency_bounds());
  auto& sync_waiters =
      metrics.histogram("fsync_batch", "writes served by one sync", Metrics::count_bounds());
  outbox::CommitThread::Hooks hooks;
  hooks.synced = [&sync_seconds, &sync_waiters](int64_t us, size_t waiters) {
    sync_seconds.Observe(static_cast<double>(us) / 1e6);
    sync_waiters.Observe(static_cast<double>(waiters));
  };
  hooks.failed = [log](const Error& error) {
    log->error("the outbox has failed, writes are refused: {}", error.message());
  };
  return hooks;
}

}  // namespace

Sidecar::Sidecar(const Settings& settings, SidecarPorts ports, SidecarOptions options)
    : settings_(settings),
      ports_(std::move(ports)),
      options_(std::move(options)),
      log_(ports_.log),
      store_log_(ports_.store_log),
      policy_(settings_),
      members_(settings_.proxy, ports_.store),
      reached_members_(members_.reached_by(ports_.network)),
      transactions_(locks_),
      places_(options_.connections_max, options_.workers),
      store_text_("not reached yet at " + ports_.store.address),
      started_ms_(ports_.clock.wall_ms()) {}

Sidecar::~Sidecar() = default;

Status Sidecar::open() {
  commit_ = std::make_unique<outbox::CommitThread>(ports_.outbox, ports_.threads,
                                                   commit_hooks(ports_.metrics, log_));
  for (auto* store : {&applier_store_, &recovery_store_}) {
    auto made = ports_.open_store();
    if (!made) return tl::unexpected(made.error());
    *store = std::move(*made);
  }
  for (auto* worker : {&worker_, &journal_worker_, &oplog_worker_}) {
    auto made = ports_.open_store();
    if (!made) return tl::unexpected(made.error());
    *worker = std::make_unique<StoreWorker>(std::move(*made), ports_.threads);
  }
  while (loops_.size() + 1 < options_.workers) loops_.push_back(ports_.open_loop());
  for (size_t i = 0; i <= loops_.size(); ++i) {
    auto tls = load_app_tls(settings_.proxy);
    if (!tls) return tl::unexpected(tls.error());
    app_tls_.push_back(std::move(*tls));
  }
  timer_ = std::make_unique<net::Timer>(ports_.loop);
  return {};
}

void Sidecar::start() { tasks_.spawn(run()); }

net::Task<void> Sidecar::run() {
  std::function<Status(Store&)> job = [this](Store& store) { return recover(store); };
  Status recovered = co_await worker_->ask(ports_.loop, std::move(job));
  if (stopping_) co_return;
  if (recovered) {
    login_rule_ = std::make_unique<LoginRule>(
        [this] { return dial_any(ports_.loop, reached_members_, ports_.random, log_); });
    co_await login_rule_->learn();
    if (stopping_) co_return;
    recovered = open_doors();
  }
  if (!recovered) options_.on_failed(recovered.error());
}

// The store may go away in the middle of it: then it is waited for again.
Status Sidecar::look_at_store(Store& store) {
  for (;;) {
    Status status = wait_for_store(store, stopping_, store_log_);
    if (!status) return status;
    Result<StoreInfo> info = check_store(store, ports_.store.address, members_, store_log_);
    if (info) status = check_rules(settings_, *info, ports_.store.address);
    if (info && status) {
      status = check_first_start(ports_.outbox, store,
                                 [this](std::string_view ns) { return policy_.replicates(ns); });
    } else if (!info) {
      status = tl::unexpected(info.error());
    }
    if (status) store_info_ = *info;
    if (status || stopping_ || !is_away(status.error())) return status;
    store_log_->warn("waiting for the store again: {}", status.error().message());
    ports_.threads.sleep(kStoreAgain);
  }
}

Status Sidecar::recover(Store& store) {
  Status status = look_at_store(store);
  if (!status) return status;
  store_text_ = describe_store(store_info_, ports_.store.address);
  store_available_ = true;
  status = open_replica();
  if (!status) return status;
  status = settle_last_run(*recovery_, *applier_, ports_.threads, stopping_, log_, store_log_);
  if (!status) return status;
  recovered_ = true;
  return {};
}

Status Sidecar::open_replica() {
  ReplicaOptions options = replica_options(settings_, policy_, ports_.relaxed);
  options.warn = [log = log_](const std::string& line) { log->warn("{}", line); };
  options.alarm = [log = log_](const std::string& line) { log->error("{}", line); };
  auto replica =
      Replica::open(std::move(options), ports_.outbox, *commit_, ports_.clock, ports_.random);
  if (!replica) return tl::unexpected(replica.error());
  replica_ = std::move(*replica);
  ApplierOptions applier;
  applier.warn = [log = store_log_](const std::string& line) { log->warn("{}", line); };
  applier.catalog_changed = [this](const std::string& ns) { changes_.forget(ns); };
  // Not asked before recovery is there.
  applier.admits = [this](const std::string& process) {
    return recovery_->served().admits(process);
  };
  RecoveryOptions recovery;
  recovery.warn = applier.warn;
  recovery.is_stopping = [this] { return stopping_.load(); };
  applier_ = std::make_unique<Applier>(*replica_, ports_.outbox, *commit_, locks_, *applier_store_,
                                       ports_.threads, std::move(applier));
  recovery_ = std::make_unique<Recovery>(*replica_, ports_.outbox, *commit_, *recovery_store_,
                                         std::move(recovery));
  return {};
}

// What the sessions of all loops share, and the write path waits at.
void Sidecar::make_shared() {
  proxy_metrics_ = std::make_unique<ProxyMetrics>(ports_.metrics);
  transaction_sweep_ = std::make_unique<TransactionSweep>(
      transactions_, ports_.clock, [this] { proxy_metrics_->lost.Increment(); });
  Recovery* recovery = recovery_.get();
  if (store_info_.kind == StoreKind::kSingleMember) {  // of several, the others wait there
    oplog_watch_ = make_oplog_watch(ports_.loop, *oplog_worker_, ports_.clock);
  }
  journal_keeper_ =
      make_journal_keeper(ports_.loop, *journal_worker_, *replica_, recovery->served());
  gate_ = std::make_unique<StoreGate>(
      ports_.loop, *worker_, recovery->served(),
      [recovery](Store& store, bool is_cut_off) {
        return recovery->put_back_step(store, is_cut_off);
      },
      StoreGate::Hooks{
          [this](std::string process) { return end_connections_to(std::move(process)); },
          [this] {
            changes_.forget_all();
            store_available_ = true;
          }},
      store_log_);
}

// A run of mongod that is gone. On the site's own loop; ends when all loops have done it.
net::Task<void> Sidecar::end_connections_to(std::string process) {
  transaction_sweep_->store_gone(process);
  if (expiry_) expiry_->store_gone(process);
  std::vector<std::shared_ptr<net::OneShot<bool>>> asked;
  for (const auto& worker : workers_) {
    Sessions* sessions = &worker->sessions;
    if (&worker->loop == &ports_.loop) {
      sessions->store_gone(process);
      continue;
    }
    const auto done = std::make_shared<net::OneShot<bool>>(ports_.loop);
    asked.push_back(done);
    worker->loop.post([sessions, process, done, &loop = ports_.loop] {
      sessions->store_gone(process);
      loop.post([done] { done->set(true); });
    });
  }
  for (const auto& each : asked) (void)co_await each->wait();
}

void Sidecar::make_workers() {
  const Worker::Site site{
      changes_,     room_budgets_, *worker_, *replica_,
      ports_.clock, ports_.random, places_,  [this] { journal_keeper_->touch(); }};
  const auto context = [this](Worker& worker) { return context_of(worker); };
  workers_.push_back(std::make_unique<Worker>(ports_.loop, reached_members_, site, 0, context));
  for (const auto& loop : loops_) {
    workers_.push_back(std::make_unique<Worker>(loop->loop(), members_.reached_by(loop->network()),
                                                site, workers_.size(), context));
  }
  for (const auto& loop : loops_) loop->start(ports_.threads);
}

ProxyContext Sidecar::context_of(Worker& worker) {
  Recovery* recovery = recovery_.get();
  return {worker.loop,
          worker.appends,
          worker.durable_waits,
          worker.facts,
          worker.rooms,
          worker.fresh_ids,
          worker.store,
          worker.members,
          app_tls_[workers_.size()],  // this worker comes there
          wire::compressors_named(settings_.proxy.compressors),
          policy_,
          *replica_,
          locks_,
          turns_,
          *login_rule_,
          oplog_watch_.get(),
          *gate_,
          transactions_,
          ports_.clock,
          ports_.random,
          *proxy_metrics_,
          log_,
          store_info_.kind != StoreKind::kStandalone,
          members_.found_again(store_info_.kind),
          [recovery](Store& store, UndecidedWrite& write, const std::string& lsid,
                     const std::string& address) -> Status {
            const auto how = recovery->settle_in_doubt(write, lsid, address, store);
            return how ? Status() : tl::unexpected(how.error());
          },
          [recovery](Store& store, const LocalWrite& write, const std::vector<size_t>& documents) {
            return recovery->look_at(write, documents, store);
          },
          [this](const std::string& collection, const LedgerPlace& from) {
            return own_page(collection, from, *replica_, [this] { return status(); });
          },
          own_questions_,
          output_bytes_};
}

Status Sidecar::open_doors() {
  make_shared();
  make_workers();
  exchange_ = std::make_unique<ReplicaExchange>(*replica_);
  PeerManagerOptions options;
  options.site = settings_.site;
  options.peers = settings_.peers;
  options.policy_lines = [this] { return policy_.lines(); };
  options.seed = ports_.random.number();
  peers_ = std::make_unique<PeerManager>(ports_.loop, ports_.network, *exchange_, ports_.clock,
                                         log_, options);
  std::vector<Sessions*> sessions;
  for (const auto& worker : workers_) sessions.push_back(&worker->sessions);
  const std::vector<StoreDoor> doors = members_.doors();
  auto server = Server::listen(ports_.network, doors, places_, std::move(sessions));
  if (!server) return tl::unexpected(server.error());
  server_ = std::move(*server);
  const Status linked = peers_->start();
  if (!linked) return linked;
  applier_->start();
  start_expiry();
  timer_->start(kTickMs, [this] { tick(); });
  serving_ = true;
  log_->info("site {} serves {} on {}, with {} event loop{}", settings_.site, store_text_,
             members_.doors_text(), workers_.size(), workers_.size() == 1 ? "" : "s");
  return {};
}

// It writes like a session of the first worker.
void Sidecar::start_expiry() {
  expiry_ = std::make_unique<Expiry>(
      Expiry::Parts{workers_.front()->context, settings_.expiry, ports_.store_login,
                    make_monitor_mark(ports_.outbox, *commit_),
                    [this] { return changes_.forgotten(); }, ports_.metrics});
  expiry_->start();
}

void Sidecar::tick() {
  if (!tending_.exchange(true)) {
    worker_->post([this](Store& store) {
      tend(store);
      tending_ = false;
    });
  }
  journal_keeper_->touch();  // records of peers are kept for the store, too
  tasks_.spawn(login_rule_->learn());
  timer_->start(kTickMs, [this] { tick(); });
}

void Sidecar::tend(Store& store) {
  const Status alive = store.ping();
  if (store_answers_ != alive.has_value()) {
    store_answers_ = alive.has_value();
    if (alive) store_log_->info("the store answers again");
    if (!alive) store_log_->error("the store is away: {}", alive.error().message());
  }
  // One that was started anew is there for nobody before the gate has put back what it forgot.
  store_available_ = alive && recovery_->served().admits(store.process_id());
  members_.look(store);
  if (alive && store_info_.kind != StoreKind::kStandalone) {
    const Status noted = recovery_->note_oplog_time();
    if (!noted) store_log_->warn("{}", noted.error().message());
    const Status swept = transaction_sweep_->step(store);
    if (!swept) store_log_->warn("{}", swept.error().message());
  }
  if (!ports_.outbox.failure()) return;
  const Status healed = ports_.outbox.heals();
  if (!healed) {
    log_->error("the outbox stays failed: {}", healed.error().message());
    return;
  }
  // What was under way when the error came is known to the files alone: start over from them.
  log_->info("the outbox can be read and written again: starting over from it");
  ports_.loop.post([this] {
    if (ask_to_stop()) options_.on_healed();
  });
}

net::Task<void> Sidecar::stop(int64_t drain_ms) {
  stopping_ = true;
  const bool served = serving_.exchange(false);
  if (timer_) timer_->close();
  if (login_rule_) login_rule_->close();
  if (gate_) co_await gate_->close();
  std::function<void()> hurry = [worker = worker_.get()] { worker->wind_down(); };
  std::function<void()> hurry_expiry = hurry;
  if (server_) co_await server_->drain(drain_ms, std::move(hurry));
  if (expiry_) co_await expiry_->stop(std::min(drain_ms, kExpiryEndsMs), std::move(hurry_expiry));
  for (const auto& loop : loops_) loop->end();
  if (peers_) co_await peers_->stop();
  if (applier_) applier_->stop();
  co_await tasks_.until_empty();  // a start that still waits for the store sees stopping_
  for (auto* worker : {&worker_, &journal_worker_, &oplog_worker_}) {
    if (*worker) (*worker)->stop();
  }
  if (commit_) commit_->stop();
  server_.reset();
  timer_.reset();
  if (served) log_->info("drained");
}

}  // namespace outrigger
