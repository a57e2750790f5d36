#include "proxy/app/app.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdlib>

#include "proxy/app/store_start.h"
#include "proxy/app/store_waits.h"
#include "proxy/net/uv/socket_names.h"
#include "replication/recovery/first_start.h"
#include "replication/store/mongo/mongo_store.h"

namespace outrigger {
namespace {

constexpr int64_t kTickMs = 1'000;
constexpr int32_t kWireVersionUuids = 17;  // 6.0
// From SIGTERM on: clients may finish what is under way; then all waiting is given up; then the
// process ends, whoever still waits.
constexpr int64_t kDrainMs = 6'000;
constexpr auto kEndLimit = std::chrono::milliseconds(9'000);

ReplicaOptions replica_options(const Settings& settings, const Policy& policy) {
  ReplicaOptions options;
  options.site = settings.site;
  options.members.push_back(settings.site);
  for (const PeerSite& peer : settings.peers.sites) options.members.push_back(peer.site);
  options.policy_hash = fmt::format("{:016x}", policy.hash());
  options.ledger_bytes_max = settings.ledger.bytes_max;
  options.max_ahead_ms = settings.clock.ahead_ms_max;
  options.policy = &policy;
  options.replicates = [&policy](std::string_view ns) { return policy.replicates(ns); };
  return options;
}

}  // namespace

App::App(Settings settings, Log& log)
    : settings_(std::move(settings)),
      log_(log.module("outrigger")),
      store_log_(log.module("store")),
      end_limit_([log = log_] {
        log->warn(
            "ended without waiting for the store any longer; the next start settles what was "
            "under way");
        log->flush();
        std::_Exit(0);
      }),
      policy_(settings_),
      started_ms_(clock_.wall_ms()) {}

App::~App() = default;

App::Exit App::run() {
  const Status opened = open();
  if (!opened) {
    log_->error("{}", opened.error().message());
    return Exit::kFailed;
  }
  signals_ = std::make_unique<net::SignalWatch>(loop_, std::initializer_list<int>{SIGTERM, SIGINT},
                                                [this](int signal) { on_signal(signal); });
  timer_ = std::make_unique<net::Timer>(loop_);
  tasks_.spawn(start());
  loop_.run();
  loop_.block_on(stop());
  return exit_;
}

Status App::open() {
  Result<StoreEndpoint> found = store_endpoint(settings_.store.uri, network_);
  if (!found) return tl::unexpected(found.error());
  store_endpoint_ = std::move(*found);
  store_text_ = "not reached yet at " + store_endpoint_.address;
  const Result<DescriptorPlan> plan = plan_descriptors(raise_descriptor_limit(), settings_);
  if (!plan) return tl::unexpected(plan.error());
  descriptors_ = *plan;
  outbox::RocksOutboxOptions options;
  options.bytes_max = settings_.outbox.bytes_max;
  options.tables_open_max = descriptors_.tables;
  options.log = [log = log_](const std::string& line) { log->warn("outbox: {}", line); };
  auto outbox = outbox::RocksOutbox::open(settings_.data_dir, options);
  if (!outbox) return tl::unexpected(outbox.error());
  outbox_ = std::move(*outbox);
  if (store_endpoint_.address.starts_with("unix:")) {
    Result<std::string> made = net::make_socket_dir(settings_.data_dir);
    if (!made) return tl::unexpected(made.error());
    network_.name_our_ends_in(std::move(*made));
  }
  outbox::CommitThread::Hooks hooks;
  auto& sync_seconds =
      metrics_.histogram("fsync_seconds", "sync of the outbox", Metrics::latency_bounds());
  auto& sync_waiters =
      metrics_.histogram("fsync_batch", "writes served by one sync", Metrics::count_bounds());
  hooks.synced = [&sync_seconds, &sync_waiters](int64_t us, size_t waiters) {
    sync_seconds.Observe(static_cast<double>(us) / 1e6);
    sync_waiters.Observe(static_cast<double>(waiters));
  };
  hooks.failed = [log = log_](const Error& error) {
    log->error("the outbox has failed, writes are refused: {}", error.message());
  };
  commit_ = std::make_unique<outbox::CommitThread>(*outbox_, hooks);
  gauges_ = std::make_unique<Gauges>(metrics_);
  for (auto* store : {&applier_store_, &recovery_store_}) {
    auto made = MongoStore::open(settings_.store.uri);
    if (!made) return tl::unexpected(made.error());
    *store = std::move(*made);
  }
  for (auto* worker : {&worker_, &journal_worker_, &oplog_worker_}) {
    auto made = MongoStore::open(settings_.store.uri);
    if (!made) return tl::unexpected(made.error());
    *worker = std::make_unique<StoreWorker>(std::move(*made), loop_);
  }
  auto admin = Admin::listen(settings_.admin.listen, admin_view(), log_);
  if (!admin) return tl::unexpected(admin.error());
  admin_ = std::move(*admin);
  return {};
}

net::Task<void> App::start() {
  std::function<Status(Store&)> job = [this](Store& store) { return recover(store); };
  Status recovered = co_await worker_->ask(std::move(job));
  if (stopping_) co_return;
  if (recovered) {
    login_rule_ =
        std::make_unique<LoginRule>([this] { return Backend::dial(loop_, store_endpoint_, log_); });
    co_await login_rule_->learn();
    recovered = open_doors();
  }
  if (!recovered) fail_start(recovered.error());
}

void App::fail_start(const Error& error) {
  log_->error("{}", error.message());
  exit_ = Exit::kFailed;
  loop_.stop();
}

Status App::recover(Store& store) {
  Status status = wait_for_store(store, stopping_, store_log_);
  if (!status) return status;
  const Result<StoreInfo> info = check_store(store, store_endpoint_.address, store_log_);
  if (!info) return tl::unexpected(info.error());
  store_info_ = *info;
  store_text_ = describe_store(*info, store_endpoint_.address);
  status = check_first_start(*outbox_, store,
                             [this](std::string_view ns) { return policy_.replicates(ns); });
  if (!status) return status;
  store_available_ = true;
  ReplicaOptions replica_settings = replica_options(settings_, policy_);
  replica_settings.warn = [log = log_](const std::string& line) { log->warn("{}", line); };
  replica_settings.alarm = [log = log_](const std::string& line) { log->error("{}", line); };
  auto replica = Replica::open(std::move(replica_settings), *outbox_, *commit_, clock_);
  if (!replica) return tl::unexpected(replica.error());
  replica_ = std::move(*replica);
  ApplierOptions applier_options;
  applier_options.warn = [log = store_log_](const std::string& line) { log->warn("{}", line); };
  applier_ = std::make_unique<Applier>(*replica_, *outbox_, *commit_, locks_, *applier_store_,
                                       applier_options);
  RecoveryOptions options;
  options.warn = applier_options.warn;
  recovery_ = std::make_unique<Recovery>(*replica_, *outbox_, *commit_, *recovery_store_, options);
  status = settle_last_run(*recovery_, *applier_, stopping_, log_, store_log_);
  if (!status) return status;
  recovered_ = true;
  return {};
}

// What all sessions share, and the write path waits at.
void App::make_context() {
  facts_ = std::make_unique<Facts>(*worker_, clock_);
  proxy_metrics_ = std::make_unique<ProxyMetrics>(metrics_);
  Recovery* recovery = recovery_.get();
  const bool is_set = store_info_.kind != StoreKind::kStandalone;
  DurableWaits::WhenDurable when_durable = [replica = replica_.get()](auto done, auto needed_in) {
    replica->when_durable(std::move(done), needed_in);
  };
  turn_appends_ =
      std::make_unique<TurnAppends>(loop_, [replica = replica_.get()](StagedWrites&& staged) {
        return replica->write(std::move(staged));
      });
  durable_waits_ = std::make_unique<DurableWaits>(loop_, std::move(when_durable));
  if (is_set) oplog_watch_ = make_oplog_watch(loop_, *oplog_worker_, clock_);
  journal_waits_ = make_journal_waits(loop_, *journal_worker_, oplog_watch_.get(), metrics_);
  context_ = std::make_unique<ProxyContext>(ProxyContext{
      loop_,
      policy_,
      *replica_,
      *turn_appends_,
      *durable_waits_,
      *journal_waits_,
      locks_,
      *facts_,
      rooms_,
      *login_rule_,
      *worker_,
      clock_,
      *proxy_metrics_,
      log_,
      settings_.proxy.advertise.text(),
      store_endpoint_,
      is_set,
      store_info_.wire_version_max >= kWireVersionUuids,
      [recovery](Store& store, UndecidedWrite& write, const std::string& lsid,
                 const std::string& address) -> Status {
        const auto how = recovery->settle_in_doubt(write, lsid, address, store);
        if (!how) return tl::unexpected(how.error());
        return {};
      },
      [recovery](Store& store, const LocalWrite& write, const std::vector<size_t>& documents) {
        return recovery->look_at(write, documents, store);
      }});
}

Status App::open_doors() {
  make_context();
  exchange_ = std::make_unique<ReplicaExchange>(*replica_);
  PeerManagerOptions options;
  options.site = settings_.site;
  options.peers = settings_.peers;
  options.policy_lines = policy_.lines();
  peers_ = std::make_unique<PeerManager>(loop_, network_, *exchange_, clock_, log_, options);
  warn_of_few_connections();
  auto server =
      Server::listen(*context_, network_, settings_.proxy.listen.text(), descriptors_.connections);
  if (!server) return tl::unexpected(server.error());
  server_ = std::move(*server);
  const Status linked = peers_->start();
  if (!linked) return linked;
  applier_->start();
  timer_->start(kTickMs, [this] { tick(); });
  serving_ = true;
  log_->info("site {} serves {} on {}", settings_.site, store_text_, settings_.proxy.listen.text());
  return {};
}

void App::warn_of_few_connections() const {
  if (descriptors_.connections >= settings_.proxy.connections_max) return;
  log_->warn(
      "the limit of open files is {}: {} connections of apps at once, not {}; raise it (ulimit -n, "
      "LimitNOFILE) for more",
      descriptors_.descriptors, descriptors_.connections, settings_.proxy.connections_max);
}

void App::on_signal(int signal) {
  end_limit_.start(kEndLimit);
  if (stopping_.exchange(true)) return;
  log_->info("{}: draining", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  loop_.stop();
}

void App::tick() {
  if (!tending_.exchange(true)) {
    worker_->post([this](Store& store) {
      tend(store);
      tending_ = false;
    });
  }
  tasks_.spawn(login_rule_->learn());
  timer_->start(kTickMs, [this] { tick(); });
}

void App::tend(Store& store) {
  const Status alive = store.ping();
  if (store_available_.exchange(alive.has_value()) != alive.has_value()) {
    if (alive) store_log_->info("the store answers again");
    if (!alive) store_log_->error("the store is away: {}", alive.error().message());
  }
  if (alive && store_info_.kind != StoreKind::kStandalone) {
    const Status noted = recovery_->note_oplog_time();
    if (!noted) store_log_->warn("{}", noted.error().message());
  }
  if (!outbox_->failure()) return;
  const Status healed = outbox_->heals();
  if (!healed) {
    log_->error("the outbox stays failed: {}", healed.error().message());
    return;
  }
  // What was under way when the error came is known to the files alone: start over from them.
  log_->info("the outbox can be read and written again: starting over from it");
  loop_.post([this] {
    if (stopping_.exchange(true)) return;
    exit_ = Exit::kRestart;
    loop_.stop();
  });
}

net::Task<void> App::stop() {
  stopping_ = true;
  const bool served = serving_.exchange(false);
  if (timer_) timer_->close();
  if (login_rule_) login_rule_->close();
  if (server_) {
    StoreWorker* worker = worker_.get();
    std::function<void()> hurry = [worker] { worker->wind_down(); };
    co_await server_->drain(exit_ == Exit::kDrained ? kDrainMs : 0, std::move(hurry));
  }
  if (peers_) co_await peers_->stop();
  if (applier_) applier_->stop();
  co_await tasks_.until_empty();  // a start that still waits for the store sees stopping_
  worker_->stop();
  journal_worker_->stop();
  oplog_worker_->stop();
  admin_.reset();
  commit_->stop();
  server_.reset();
  signals_.reset();
  timer_.reset();
  if (served) log_->info("drained");
}

}  // namespace outrigger
