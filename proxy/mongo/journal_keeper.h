// Knows how far the store's journal goes, without any write waiting for it.
//
// What the journal holds, the outbox need not keep for the store (recovery/redo.h). mongod does not
// say how far that is; but it journals in the order in which it answers. So now and then a write
// that changes nothing waits for the journal: all that had been answered before it was sent is
// there then, if it is the run of mongod that answered those that also answers this.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "proxy/mongo/store_worker.h"
#include "proxy/net/loop.h"
#include "replication/causality/version_vector.h"
#include "replication/store/served_process.h"

namespace outrigger {

// Sees the journal of the run that is served hold everything. kUnavailable: another one answers.
[[nodiscard]] Status wait_journaled(Store& store, const ServedProcess& served);

// Of the loop's thread, but for touch(). Asks while something is answered, and once after that.
class JournalKeeper {
 public:
  static constexpr int64_t kEveryMs = 100;

  // Of the site (Replica); any thread.
  struct Site {
    std::function<VersionVector()> answered;
    std::function<VersionVector()> journaled;
    std::function<void(const VersionVector&)> tell;
  };
  // wait_journaled() on another thread; calls back on any thread.
  using Ask = std::function<void(std::function<void(const Status&)>)>;

  // `loop` outlives this.
  JournalKeeper(net::Loop& loop, Site site, Ask ask);

  // The store has answered something, or may have. Any thread.
  void touch();

 private:
  // What a thread that answers late may find gone.
  struct Asking {
    JournalKeeper* owner;
    VersionVector answered;
  };
  struct Self {
    JournalKeeper* keeper;
  };

  void wait();
  void ask();
  void rest(const VersionVector& seen);
  void heard(const Status& journaled);

  net::Loop& loop_;
  const Site site_;
  const Ask ask_;
  std::atomic<bool> is_busy_{false};  // it will ask, or has asked
  std::shared_ptr<Asking> asking_;
  net::Timer timer_;
  std::shared_ptr<Self> self_;
};

}  // namespace outrigger
