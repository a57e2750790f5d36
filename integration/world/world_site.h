// One site of a world: a mongod, a disk, and the sidecar between them and the network, each of
// which can die and come back.
//
// A process that is killed is not taken apart in the middle of a coroutine: from that moment on
// nothing of it reaches disk, store or network, and whatever it still does is for nobody. It is
// then shut down as it stands, beside the one that comes after it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "integration/memory_mongod/memory_mongod.h"
#include "integration/memory_mongod/memory_mongod_server.h"
#include "integration/world/world_disk.h"
#include "integration/world/world_parts.h"
#include "proxy/app/sidecar.h"

namespace outrigger::world {

class WorldSite {
 public:
  struct Nature {
    bool standalone = false;
    int32_t wire_version = 17;  // of its mongod
    bool updates_win = false;
  };
  // `parts` outlives it. `sites`: all names, this one included.
  WorldSite(WorldParts& parts, const std::string& name, const std::vector<std::string>& sites,
            const Nature& nature);
  ~WorldSite();
  WorldSite(const WorldSite&) = delete;
  WorldSite& operator=(const WorldSite&) = delete;

  // ---- what can happen to it
  void start_mongod();
  void kill_mongod();  // a part of what its journal did not hold is lost
  void start_sidecar();
  void kill_sidecar();  // its writes are in the page cache
  void kill_both();
  void cut_power();  // both, and of what no sync covered a part is lost
  // Writes and syncs fail for so long; then the sidecar finds the disk whole and starts over.
  void fail_disk(int64_t ms);
  [[nodiscard]] bool mongod_runs() const { return server_ != nullptr; }
  [[nodiscard]] bool sidecar_runs() const { return process_ != nullptr; }
  // All that is up ends in order. Then the site may go.
  net::Task<void> stop();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string proxy_address() const;
  [[nodiscard]] bool is_standalone() const { return mongod_.is_standalone(); }
  [[nodiscard]] WorldClock& clock() { return clock_; }
  [[nodiscard]] MemoryMongod& mongod() { return mongod_; }
  [[nodiscard]] const MemoryStore& documents() const { return mongod_.documents(); }
  // Nothing while it does not serve.
  [[nodiscard]] const Sidecar* sidecar() const;
  [[nodiscard]] const outbox::MemoryOutbox& disk() const { return *process_->disk; }
  // What must never happen and did: an error it could not start with.
  [[nodiscard]] const std::vector<std::string>& troubles() const { return troubles_; }

 private:
  struct Process {
    Process(uint64_t seed, Logger to) : random(seed), log(std::move(to)) {}
    bool is_alive = true;
    SeededRandom random;
    Logger log;
    Metrics metrics;
    std::unique_ptr<net::MemoryProcess> network;
    std::unique_ptr<WorldDisk> disk;
    std::unique_ptr<Sidecar> sidecar;
  };

  [[nodiscard]] Settings settings(const std::vector<std::string>& sites, bool updates_win) const;
  [[nodiscard]] SidecarPorts ports(Process& process);
  [[nodiscard]] std::unique_ptr<net::LoopThread> open_loop(Process& process);
  [[nodiscard]] std::string mongod_address() const;
  [[nodiscard]] MemoryMongod::Options mongod_options(bool standalone, int32_t wire_version);
  void kill_mongod(size_t kept);  // so many of the writes not journaled
  void kill(bool power);
  void start_over();
  net::Task<void> try_again(const Process& ended);
  void lose_unsynced();
  net::Task<void> bury(std::unique_ptr<Process> process);
  net::Task<void> bury(std::unique_ptr<MemoryMongodServer> server,
                       std::unique_ptr<net::MemoryProcess> process);

  WorldParts& parts_;
  const std::string name_;
  const Settings settings_;
  WorldClock clock_;
  const size_t workers_;  // loops that serve its apps
  MemoryMongod mongod_;
  std::unique_ptr<net::MemoryProcess> mongod_network_;
  std::unique_ptr<MemoryMongodServer> server_;
  std::unique_ptr<WorldDisk> disk_;  // while no sidecar has it
  std::unique_ptr<Process> process_;
  std::vector<std::string> troubles_;
  net::TaskGroup ending_;
};

}  // namespace outrigger::world
