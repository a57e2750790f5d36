#include "proxy/app/app.h"

#include <csignal>
#include <cstdlib>
#include <utility>

#include "proxy/app/own_door.h"
#include "proxy/app/store_endpoint.h"
#include "proxy/net/uv/socket_names.h"
#include "replication/store/mongo/mongo_store.h"

namespace outrigger {
namespace {

// From SIGTERM on: clients may finish what is under way; then all waiting is given up; then the
// process ends, whoever still waits.
constexpr int64_t kDrainMs = 6'000;
constexpr auto kEndLimit = std::chrono::milliseconds(9'000);

}  // namespace

App::App(Settings settings, Log& log)
    : settings_(std::move(settings)),
      log_(log.module("outrigger")),
      end_limit_(threads_,
                 [log = log_] {
                   log->warn(
                       "ended without waiting for the store any longer; the next start settles "
                       "what was under way");
                   log->flush();
                   std::_Exit(0);
                 }),
      workers_(settings_.proxy.workers_on(usable_cores())),
      store_log_(log.module("store")) {}

App::~App() = default;

App::Exit App::run() {
  const Status opened = open();
  if (!opened) {
    log_->error("{}", opened.error().message());
    return Exit::kFailed;
  }
  signals_ = std::make_unique<net::SignalWatch>(loop_, std::initializer_list<int>{SIGTERM, SIGINT},
                                                [this](int signal) { on_signal(signal); });
  sidecar_->start();
  loop_.run();
  loop_.block_on(stop());
  return exit_;
}

Status App::open() {
  Result<StoreEndpoint> endpoint = store_endpoint(settings_, network_);
  if (!endpoint) return tl::unexpected(endpoint.error());
  const Result<DescriptorPlan> plan =
      plan_descriptors(raise_descriptor_limit(), settings_, workers_);
  if (!plan) return tl::unexpected(plan.error());
  descriptors_ = *plan;
  warn_of_few_connections();
  if (const Status opened = open_outbox(); !opened) return opened;
  network_.set_socket_mode(settings_.proxy.socket_mode);
  if (endpoint->address.starts_with("unix:")) {
    Result<std::string> made = net::make_socket_dir(settings_.data_dir);
    if (!made) return tl::unexpected(made.error());
    socket_dir_ = std::move(*made);
    network_.name_our_ends_in(socket_dir_);
  }
  if (const Status made = make_sidecar(std::move(*endpoint)); !made) return made;
  {
    const MutexLock lock(scrape_mutex_);
    gauges_ = std::make_unique<Gauges>(metrics_);
  }
  auto admin = Admin::listen(settings_.admin.listen, admin_view(), log_, threads_);
  if (!admin) return tl::unexpected(admin.error());
  admin_ = std::move(*admin);
  return {};
}

Status App::open_outbox() {
  outbox::RocksOutboxOptions options;
  options.bytes_max = settings_.outbox.bytes_max;
  options.tables_open_max = descriptors_.tables;
  options.log = [log = log_](const std::string& line) { log->warn("outbox: {}", line); };
  auto outbox = outbox::RocksOutbox::open(settings_.data_dir, options);
  if (!outbox) return tl::unexpected(outbox.error());
  outbox_ = std::move(*outbox);
  return {};
}

Status App::make_sidecar(StoreEndpoint endpoint) {
  Result<std::optional<StoreLogin>> login = store_login(settings_);
  if (!login) return tl::unexpected(login.error());
  const auto relaxed = std::make_shared<RelaxedIndexes>();
  SidecarPorts ports{loop_,
                     network_,
                     clock_,
                     random_,
                     threads_,
                     *outbox_,
                     [this, relaxed]() -> Result<std::unique_ptr<Store>> {
                       const bool follows_primary = !settings_.proxy.members.empty();
                       return MongoStore::open(settings_.store.uri, threads_, follows_primary,
                                               relaxed);
                     },
                     std::move(endpoint),
                     [this] { return open_loop(); },
                     metrics_,
                     log_,
                     store_log_,
                     std::move(*login),
                     relaxed};
  SidecarOptions options;
  options.connections_max = descriptors_.connections;
  options.workers = workers_;
  options.on_failed = [this](const Error& error) {
    log_->error("{}", error.message());
    end_as(Exit::kFailed);
  };
  options.on_healed = [this] { end_as(Exit::kRestart); };
  sidecar_ = std::make_unique<Sidecar>(settings_, std::move(ports), std::move(options));
  return sidecar_->open();
}

std::unique_ptr<net::LoopThread> App::open_loop() const {
  auto loop = std::make_unique<net::Loop>();
  auto network = std::make_unique<net::UvNetwork>(*loop);
  if (!socket_dir_.empty()) network->name_our_ends_in(socket_dir_);
  return std::make_unique<net::LoopThread>(std::move(loop), std::move(network));
}

void App::end_as(Exit exit) {
  exit_ = exit;
  loop_.stop();
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
  if (!sidecar_->ask_to_stop()) return;
  log_->info("{}: draining", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  loop_.stop();
}

net::Task<void> App::stop() {
  co_await sidecar_->stop(exit_ == Exit::kDrained ? kDrainMs : 0);
  if (exit_ != Exit::kRestart) save_unsynced();
  admin_.reset();
  signals_.reset();
}

// Of a failed outbox the last that was written is in memory alone.
void App::save_unsynced() {
  if (!outbox_->failure()) return;
  if (const Status healed = outbox_->heals(); !healed) {
    log_->error("what was written last may be lost: {}", healed.error().message());
  }
}

// What the admin port shows of the whole.
AdminView App::admin_view() {
  AdminView view;
  view.metrics = [this] {
    const MutexLock lock(scrape_mutex_);
    if (sidecar_->replica()) gauges_->update(sidecar_->status());
    return metrics_.text();
  };
  view.status = [this] { return status_json(sidecar_->status()); };
  view.conflicts = [this](size_t limit, const LedgerPlace& from) -> Result<std::string> {
    const Replica* replica = sidecar_->replica();
    if (!replica) return fail(ErrorCode::kUnavailable, "read conflicts", "", "not started yet");
    const auto page = replica->conflicts(limit, from);
    if (!page) return tl::unexpected(page.error());
    return conflicts_json(*page, replica->site_names());
  };
  view.conflict = [this](const std::string& name) -> Result<std::string> {
    const Replica* replica = sidecar_->replica();
    if (!replica) return fail(ErrorCode::kUnavailable, "read a conflict", "", "not started yet");
    const auto entry = replica->conflict(name);
    if (!entry) return tl::unexpected(entry.error());
    return conflict_json(*entry, replica->site_names()) + "\n";
  };
  view.quarantined = [this](size_t limit) -> Result<std::string> {
    const Replica* replica = sidecar_->replica();
    if (!replica) {
      return fail(ErrorCode::kUnavailable, "read records set aside", "", "not started yet");
    }
    const auto entries = replica->quarantined(limit);
    if (!entries) return tl::unexpected(entries.error());
    return quarantine_json(*entries);
  };
  view.explain = [this](const PathQuestion& question) -> Result<std::string> {
    const Replica* replica = sidecar_->replica();
    if (!replica) return fail(ErrorCode::kUnavailable, "explain a path", "", "not started yet");
    const auto life = replica->explain(question);
    if (!life) return tl::unexpected(life.error());
    return path_life_json(*life, replica->site_names());
  };
  view.choose = [this](const std::string& verb, const std::string& name) {
    return ask_own_door(settings_, verb, name);
  };
  view.retry = [this](const std::string& record) -> Status {
    Replica* replica = sidecar_->replica();
    if (!replica) {
      return fail(ErrorCode::kUnavailable, "try a record again", "", "not started yet");
    }
    return replica->retry_quarantined(record);
  };
  view.ready = [this] { return sidecar_->ready(); };
  return view;
}

}  // namespace outrigger
