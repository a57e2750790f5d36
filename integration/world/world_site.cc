#include "integration/world/world_site.h"

#include <fmt/format.h>

#include "integration/memory_mongod/memory_mongod_store.h"
#include "proxy/net/memory/virtual_thread.h"

namespace outrigger::world {
namespace {

constexpr uint16_t kMongodPort = 27017;
constexpr uint16_t kProxyPort = 27117;
constexpr uint16_t kPeerPort = 7117;
constexpr int64_t kJournalMs = 100;

}  // namespace

WorldSite::WorldSite(WorldParts& parts, const std::string& name,
                     const std::vector<std::string>& sites, const Nature& nature)
    : parts_(parts),
      name_(name),
      settings_(settings(sites, nature.updates_win)),
      clock_(parts.loop),
      workers_(static_cast<size_t>(parts.draw(1, 3))),
      mongod_(mongod_options(nature.standalone, nature.wire_version)) {
  disk_ = std::make_unique<WorldDisk>();
}

WorldSite::~WorldSite() = default;

Settings WorldSite::settings(const std::vector<std::string>& sites, bool updates_win) const {
  Settings settings;
  settings.site = name_;
  settings.proxy.listen = {name_, kProxyPort};
  settings.proxy.advertise = settings.proxy.listen;
  settings.peers.listen = Endpoint{name_, kPeerPort};
  settings.peers.insecure = true;
  settings.expiry.by = ExpiredBy::kStore;
  if (updates_win) {
    ReplicateRule& rule = settings.replicate.emplace_back();
    rule.namespace_glob = "shop.*";
    rule.deletes = DeletePolicy::kUpdateWins;
  }
  for (const std::string& site : sites) {
    if (site != name_) settings.peers.sites.push_back({site, Endpoint{site, kPeerPort}});
  }
  return settings;
}

std::string WorldSite::mongod_address() const { return fmt::format("{}:{}", name_, kMongodPort); }

std::string WorldSite::proxy_address() const { return settings_.proxy.listen.text(); }

const Sidecar* WorldSite::sidecar() const {
  if (!process_ || !process_->sidecar->serving()) return nullptr;
  return process_->sidecar.get();
}

// ---- mongod

MemoryMongod::Options WorldSite::mongod_options(bool standalone, int32_t wire_version) {
  MemoryMongod::Options options;
  options.address = mongod_address();
  options.now_seconds = [this] { return static_cast<uint32_t>(clock_.wall_ms() / 1000); };
  options.standalone = standalone;
  options.on_journal = [this] {
    if (process_) process_->disk->hold();
  };
  options.busy_ms = [this] { return parts_.chance(4) ? parts_.draw(1, 1'500) : 0; };
  options.seed = parts_.random();
  options.wire_version = wire_version;
  return options;
}

void WorldSite::start_mongod() {
  parts_.story.tell(name_, is_standalone() ? "mongod starts, a standalone" : "mongod starts");
  mongod_.start();
  mongod_network_ = parts_.network.start_process(name_);
  auto server = MemoryMongodServer::listen(parts_.loop, *mongod_network_, mongod_, mongod_address(),
                                           kJournalMs);
  OUTRIGGER_ASSERT(server.has_value());
  server_ = std::move(*server);
}

void WorldSite::kill_mongod() {
  const auto unjournaled = static_cast<int64_t>(mongod_.unjournaled());
  kill_mongod(static_cast<size_t>(parts_.draw(0, unjournaled)));
}

void WorldSite::kill_mongod(size_t kept) {
  const size_t lost = mongod_.kill(kept);
  parts_.story.tell(name_, fmt::format("mongod is killed, {} writes are lost", lost));
  mongod_network_->kill();
  ending_.spawn(bury(std::move(server_), std::move(mongod_network_)));
}

net::Task<void> WorldSite::bury(std::unique_ptr<MemoryMongodServer> server,
                                std::unique_ptr<net::MemoryProcess> process) {
  co_await server->stop();
  server.reset();
  process.reset();
}

// ---- the sidecar

SidecarPorts WorldSite::ports(Process& process) {
  StoreLine line;
  line.travel = [this, &process]() -> Status {
    parts_.threads.sleep(std::chrono::microseconds(parts_.draw(50, 800)));
    if (process.is_alive) return {};
    return fail(ErrorCode::kUnavailable, "reach store", name_, "this process was killed");
  };
  line.pass_time = [this, &process](std::chrono::milliseconds time) {
    if (process.is_alive) parts_.threads.sleep(time);
  };
  StoreEndpoint endpoint{process.network.get(), mongod_address(), name_, nullptr};
  return {parts_.loop,
          *process.network,
          clock_,
          process.random,
          parts_.threads,
          *process.disk,
          [this, line]() -> Result<std::unique_ptr<Store>> {
            return std::make_unique<MemoryMongodStore>(mongod_, line);
          },
          std::move(endpoint),
          [this, &process] { return open_loop(process); },
          process.metrics,
          process.log,
          process.log};
}

std::unique_ptr<net::LoopThread> WorldSite::open_loop(Process& process) {
  auto loop = std::make_unique<net::Loop>(
      std::make_unique<net::VirtualThread>(*parts_.time, parts_.threads));
  auto network = process.network->on(*loop);
  return std::make_unique<net::LoopThread>(std::move(loop), std::move(network));
}

void WorldSite::start_sidecar() {
  parts_.story.tell(name_, fmt::format("the sidecar starts, {} loops", workers_));
  process_ = std::make_unique<Process>(parts_.random(), parts_.story.logger(name_));
  process_->network = parts_.network.start_process(name_);
  process_->disk = std::make_unique<WorldDisk>(
      [this] { parts_.threads.sleep(std::chrono::microseconds(parts_.draw(200, 6'000))); },
      [this] { return parts_.threads.now(); },
      [this](size_t writes) {
        return static_cast<size_t>(parts_.draw(0, static_cast<int64_t>(writes)));
      });
  process_->disk->take_over(*disk_);
  SidecarOptions options;
  options.connections_max = 1'000;
  options.workers = workers_;
  options.on_failed = [this, alive = &process_->is_alive](const Error& error) {
    if (!*alive) return;
    parts_.story.tell(name_, "cannot start: " + error.message());
    const bool by_disk = process_->disk->failure().has_value();
    if (!by_disk) troubles_.push_back("cannot start: " + error.message());
    if (by_disk) ending_.spawn(try_again(*process_));
  };
  options.on_healed = [this, alive = &process_->is_alive] {
    if (*alive) start_over();
  };
  process_->sidecar = std::make_unique<Sidecar>(settings_, ports(*process_), std::move(options));
  OUTRIGGER_ASSERT(process_->sidecar->open().has_value());
  process_->sidecar->start();
}

void WorldSite::kill_sidecar() {
  parts_.story.tell(name_, "the sidecar is killed");
  kill(false);
}

void WorldSite::kill_both() {
  kill_sidecar();
  kill_mongod();
}

void WorldSite::cut_power() {
  parts_.story.tell(name_, "the power is cut");
  if (sidecar_runs()) {
    kill(true);
  } else {
    lose_unsynced();
  }
  if (mongod_runs()) kill_mongod(0);
}

void WorldSite::kill(bool power) {
  process_->is_alive = false;
  process_->network->kill();
  disk_ = std::make_unique<WorldDisk>();
  disk_->take_over(*process_->disk);
  process_->disk->fail(ErrorCode::kClosed);
  process_->log->set_level(spdlog::level::off);  // nobody hears it any more
  if (power) lose_unsynced();
  ending_.spawn(bury(std::move(process_)));
}

void WorldSite::lose_unsynced() {
  const auto unsynced = static_cast<int64_t>(disk_->unsynced());
  const auto held = static_cast<int64_t>(disk_->held());
  disk_->lose_unsynced(static_cast<size_t>(parts_.draw(held, unsynced)));
}

void WorldSite::fail_disk(int64_t ms) {
  parts_.story.tell(name_, fmt::format("its disk fails for {} ms", ms));
  process_->disk->fail_until(parts_.threads.now() + std::chrono::milliseconds(ms));
}

// Whoever looks after it starts it again.
net::Task<void> WorldSite::try_again(const Process& ended) {
  const Process* process = &ended;
  co_await parts_.sleep_ms(3'000);
  if (process_.get() == process) start_over();
}

void WorldSite::start_over() {
  parts_.story.tell(name_, "the sidecar starts over from its disk");
  kill(true);
  start_sidecar();
}

net::Task<void> WorldSite::bury(std::unique_ptr<Process> process) {
  (void)process->sidecar->ask_to_stop();
  co_await process->sidecar->stop(0);
  process.reset();
}

net::Task<void> WorldSite::stop() {
  if (process_) {
    std::unique_ptr<Process> process = std::move(process_);
    co_await bury(std::move(process));
  }
  if (mongod_runs()) ending_.spawn(bury(std::move(server_), std::move(mongod_network_)));
  co_await ending_.until_empty();
}

}  // namespace outrigger::world
