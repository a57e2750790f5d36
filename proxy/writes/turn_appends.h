// One append to the outbox for all local writes of one turn of the event loop.
//
// The problem: mongod's journal releases many clients at once, so their replies, and then their
// next writes, arrive in one turn. An append costs a system call and a pass through the log's
// queue, whether it carries one step of one write or ten. So steps are staged, and written together
// once what the network brought has run; each goes on when its own has been written.
#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/net/loop.h"
#include "replication/site/replica.h"

namespace outrigger {

// Of the loop's thread; outlives everyone who waits for it.
class TurnAppends {
 public:
  // A turn that staged more is written in several appends: a batch is held twice while it is.
  static constexpr size_t kAppendBytesMax = 1 << 20;

  // Appends, all or nothing: Replica's `write`.
  using Write = std::function<Status(StagedWrites&&)>;

  // `loop` outlives this.
  TurnAppends(net::Loop& loop, Write write) : loop_(loop), write_(std::move(write)) {}

  // Where the steps of this turn are staged. Await `appended` before anything else is.
  [[nodiscard]] StagedWrites& staged();

 private:
  struct Turn {
    StagedWrites staged;
    std::vector<std::coroutine_handle<>> waiting;
    Status status;
  };

 public:
  class [[nodiscard]] Appended {
   public:
    explicit Appended(std::shared_ptr<Turn> turn) : turn_(std::move(turn)) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) { turn_->waiting.push_back(waiting); }
    Status await_resume() const { return turn_->status; }

   private:
    std::shared_ptr<Turn> turn_;
  };
  // To be awaited (named first: GCC 12 destroys it twice otherwise): what was staged just before is
  // in the page cache, or it is not and the outbox has failed.
  Appended appended() { return Appended(turn_); }

 private:
  net::Task<void> append(std::shared_ptr<Turn> turn);

  net::Loop& loop_;
  const Write write_;
  std::shared_ptr<Turn> turn_;  // being staged; none: nothing yet
  net::TaskGroup appending_;
};

}  // namespace outrigger
