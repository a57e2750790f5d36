// A network in memory: machines by name, lines between them with delay and faults, processes that
// die.
//
// The problem: what two sites do to each other depends on when bytes arrive, and on lines that
// break in one direction, hang, or come back; real networks do that rarely, and never twice alike.
// The idea: every connection is two memory pairs, one at each end, and the network between them
// carries what was written, late by as much as a seeded source says, in order. Together with time
// that jumps (virtual_time.h) the whole run is a function of the seed.
//
// A cut line loses nothing that was written: as with TCP, it arrives when the line is healed, and
// only the silence tells. What resets connections is reset() and the death of a process.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "proxy/net/address.h"
#include "proxy/net/memory/memory_flow.h"
#include "proxy/net/memory/memory_stream.h"
#include "proxy/net/network.h"

namespace outrigger::net {

class MemoryProcess;

class MemoryNetwork {
 public:
  MemoryNetwork(Loop& loop, uint64_t seed);
  MemoryNetwork(const MemoryNetwork&) = delete;
  MemoryNetwork& operator=(const MemoryNetwork&) = delete;
  // Asserts that stop() was awaited if anything was ever connected.
  ~MemoryNetwork();

  // A program on the machine `machine`, which others reach as "machine:port"; several may run on
  // one. It dials and listens through what it is given here, which the network must outlive.
  [[nodiscard]] std::unique_ptr<MemoryProcess> start_process(const std::string& machine);

  // Of one direction, for what is sent from now on. Without, bytes arrive in the next turn.
  void set_delay(const std::string& from, const std::string& to, MemoryDelay delay);
  // From now on nothing arrives at `to` that `from` sent, dials included, until it is healed. Both
  // directions are a cut, one is a half-cut.
  void cut(const std::string& from, const std::string& to);
  void heal(const std::string& from, const std::string& to);
  // Every connection between the two fails at both ends at once; what is in flight is lost.
  void reset(const std::string& one, const std::string& other);
  [[nodiscard]] size_t connections() const { return connections_.size(); }

  // Resets everything and waits until nothing moves any more.
  [[nodiscard]] Task<void> stop();

 private:
  friend class MemoryProcess;
  class Port;  // a Listener
  struct Connection;
  using Key = std::pair<std::string, uint16_t>;  // machine, port

  [[nodiscard]] MemoryLine& line(const std::string& from, const std::string& to);
  Task<Result<std::unique_ptr<Arrival>>> dial(MemoryProcess& from, std::string address,
                                              int64_t timeout_ms);
  [[nodiscard]] Result<std::unique_ptr<Listener>> listen(MemoryProcess& process,
                                                         const std::string& address,
                                                         Listener::ArrivalHandler handler);
  // The way of a first packet; false: it has not come through before `deadline_us`.
  Task<bool> travel(std::string from, std::string to, uint64_t deadline_us);
  [[nodiscard]] std::unique_ptr<Arrival> join(MemoryProcess& from, Port& port);
  Task<void> carry(std::list<Connection>::iterator connection);
  void process_died(MemoryProcess& process);

  Loop& loop_;
  std::mt19937_64 random_;
  std::map<std::pair<std::string, std::string>, MemoryLine> lines_;
  std::map<Key, Port*> ports_;
  std::list<Connection> connections_;
  uint16_t next_port_ = 40'000;
  TaskGroup tasks_;
};

// One program's view of the network. It must outlive what it dials and listens with.
class MemoryProcess final : public Network {
 public:
  MemoryProcess(MemoryNetwork& network, std::string machine)
      : network_(network), machine_(std::move(machine)) {}
  MemoryProcess(const MemoryProcess&) = delete;
  MemoryProcess& operator=(const MemoryProcess&) = delete;
  ~MemoryProcess() override { kill(); }

  Task<Result<std::unique_ptr<Stream>>> connect(std::string address, int64_t timeout_ms) override;
  [[nodiscard]] Result<std::unique_ptr<Listener>> listen_for_arrivals(
      const std::string& address, Listener::ArrivalHandler handler) override {
    return network_.listen(*this, address, std::move(handler));
  }
  [[nodiscard]] Loop& loop() const override { return network_.loop_; }
  // What it dials with on another loop of its own, which takes turns with the network's. This must
  // outlive that, and `loop` too. It does not listen.
  [[nodiscard]] std::unique_ptr<Network> on(Loop& loop);

  // It is gone, as after kill -9: nobody listens, those it was connected to see a reset when word
  // of it reaches them, and whatever code of it still runs gets nothing through any more.
  void kill() {
    if (std::exchange(is_alive_, false)) network_.process_died(*this);
  }
  [[nodiscard]] bool is_alive() const { return is_alive_; }
  [[nodiscard]] const std::string& machine() const { return machine_; }

 private:
  class OnLoop;

  MemoryNetwork& network_;
  const std::string machine_;
  bool is_alive_ = true;
};

}  // namespace outrigger::net
