// The one gate that everybody who talks to the store passes after it was started anew.
//
// The problem: a mongod that was killed has forgotten what its journal did not hold. An app that
// read from it now would see what it was told go back in time, and would write on top of that. So
// each new connection first says which run of mongod answers it. Met for the first time, that run
// is not served before what it forgot has been put back (recovery/redo.h): connections wait here.
// Those to the run that is gone are ended: a host that vanished says nothing, and a write that
// waits for it would keep everybody waiting here. On a set of several members each primary, in each
// of its terms, is a run of its own (store/store.h).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/log.h"
#include "proxy/mongo/store_worker.h"
#include "proxy/net/loop.h"
#include "replication/store/served_process.h"

namespace outrigger {

// One for all loops; of its own loop's thread, but for what is said otherwise.
class StoreGate {
 public:
  // Recovery::put_back_step, on the worker's thread.
  using Step = std::function<Result<bool>(Store&, bool is_cut_off)>;
  // A connection waits so long; then whoever it is for hears that the store is not ready.
  static constexpr int64_t kHeldMsMax = 10'000;

  struct Hooks {
    // The run of this name is gone: another one answers. When this has ended no connection to it is
    // left on any loop: on a set of several members that run may still answer, and nothing it says
    // from here on may be acknowledged. Before anything is put back at the other one.
    std::function<net::Task<void>(std::string process)> on_gone;
    // Another one is served, from when this returns.
    std::function<void()> on_open;
  };
  // Everything is borrowed and outlives this; `worker` until close() has ended.
  StoreGate(net::Loop& loop, StoreWorker& worker, ServedProcess& served, Step step, Hooks hooks,
            Logger log);
  ~StoreGate();
  StoreGate(const StoreGate&) = delete;
  StoreGate& operator=(const StoreGate&) = delete;

  // A connection is answered by this run. Waits until that one is served. False: it is not, or not
  // within `held_ms`. On the thread of `loop`, which outlives this.
  net::Task<bool> pass(net::Loop& loop, std::string process, int64_t held_ms = kHeldMsMax);
  // Nobody waits any longer. Ends when nothing runs any more.
  net::Task<void> close();

 private:
  using Shot = std::shared_ptr<net::OneShot<bool>>;
  // Whoever waits, on whichever loop.
  struct Waiter {
    net::Loop* loop;
    std::string process;
    Shot shot;  // set on that loop
    void tell(bool served) const;
  };
  // What a thread that tells late may find gone.
  struct Self {
    StoreGate* gate;
  };

  [[nodiscard]] bool is_open_for(const std::string& process) const {
    // In this order: another run is served only while the gate is shut, and after on_gone.
    return served_.is(process) && !is_shut_;
  }
  void wait(Waiter waiter);
  void shut();
  net::Task<void> put_back();
  void wake(bool served);

  net::Loop& loop_;
  StoreWorker& worker_;
  ServedProcess& served_;
  const Step step_;
  const Hooks hooks_;
  const Logger log_;
  std::vector<Waiter> waiting_;
  std::atomic<bool> is_shut_{false};  // what was forgotten is being put back
  std::atomic<bool> is_closed_{false};
  net::TaskGroup putting_back_;
  std::shared_ptr<Self> self_;
};

}  // namespace outrigger
