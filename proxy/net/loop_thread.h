// A loop beside the first, with the network as seen from it and a thread of its own that runs it.
#pragma once

#include <memory>
#include <utility>

#include "config/threads.h"
#include "proxy/net/loop.h"
#include "proxy/net/network.h"

namespace outrigger::net {

class LoopThread {
 public:
  // Before start() and after end() the loop is the caller's thread's: what lives on it may be made,
  // and taken away. `network` is on `loop`.
  LoopThread(std::unique_ptr<Loop> loop, std::unique_ptr<Network> network)
      : loop_(std::move(loop)), network_(std::move(network)) {}
  ~LoopThread() { end(); }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  [[nodiscard]] Loop& loop() { return *loop_; }
  [[nodiscard]] Network& network() { return *network_; }
  // Once. `threads` outlives this.
  void start(Threads& threads) {
    thread_ = threads.start([this] { loop_->run(); });
  }
  // Nothing runs on the loop any more; what is posted to it is dropped with it.
  void end() {
    if (!thread_) return;
    loop_->stop();
    thread_.reset();
  }

 private:
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Threads::Thread> thread_;
};

}  // namespace outrigger::net
