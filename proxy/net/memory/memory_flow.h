// One direction of one connection of a MemoryNetwork: takes what was written at one end and gives
// it to the other, later. Private to memory_network.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <random>
#include <string>

#include "proxy/net/loop.h"
#include "proxy/net/memory/memory_stream.h"
#include "proxy/net/stream.h"
#include "proxy/net/task.h"

namespace outrigger::net {

struct MemoryDelay {
  int64_t ms_min = 0;
  int64_t ms_max = 0;
};

class MemoryFlow;

// What all flows from one machine to another share.
struct MemoryLine {
  [[nodiscard]] int64_t draw_ms(std::mt19937_64& random) const;
  void heal();  // what was held back goes on

  MemoryDelay delay;
  bool is_cut = false;
  std::list<MemoryFlow*> flows;  // oldest first
};

class MemoryFlow {
 public:
  // `from` and `to` are the network's ends; `to_wire` is what is cut when a reset arrives. All of
  // it outlives run().
  MemoryFlow(Loop& loop, MemoryLine& line, std::mt19937_64& random, Stream& from, Stream& to,
             MemoryWire to_wire);
  MemoryFlow(const MemoryFlow&) = delete;
  MemoryFlow& operator=(const MemoryFlow&) = delete;
  ~MemoryFlow();

  // Returns when an end or a reset was delivered, or after close().
  [[nodiscard]] Task<void> run();
  // Delivers nothing more.
  void close();
  // The line may have changed.
  void wake() { news_.set(); }

 private:
  struct Packet {
    enum class Kind { kBytes, kEnd, kReset };
    Kind kind = Kind::kBytes;
    uint64_t due_us = 0;
    std::string bytes;
  };

  Task<void> take();
  Task<void> deliver();
  Task<bool> hand_over(Packet packet);
  void send(Packet::Kind kind, std::string bytes);

  Loop& loop_;
  MemoryLine& line_;
  std::mt19937_64& random_;
  Stream& from_;
  Stream& to_;
  MemoryWire to_wire_;
  Timer timer_;
  Notify news_;  // a packet, a healed line, the end
  Notify room_;
  std::deque<Packet> in_flight_;
  size_t in_flight_bytes_ = 0;
  uint64_t last_due_us_ = 0;
  bool is_closed_ = false;
  bool nobody_takes_ = false;  // the other end has closed: what still comes is dropped
  TaskGroup tasks_;
};

}  // namespace outrigger::net
