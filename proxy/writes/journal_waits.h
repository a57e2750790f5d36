// Waiting for mongod's journal: one write of each turn of the event loop does it for the others.
//
// The problem: a write that mongod answers only once it is journaled (and majority-committed) costs
// it nearly twice what the write alone does: each is a thread to be put to sleep and woken by three
// others. Writes that go out in one turn can share that. The last of them leads: it is sent with a
// concern that waits, and all before it follow: they are sent with w: 1, answered at once, and held
// here. A leader's answer that names an optime shows that all up to that time is journaled, for a
// set's journal and its majority point have no gaps. Apps see no difference: nothing is answered,
// and nothing reaches a peer, before it is held.
//
// What a leader's answer cannot cover waits for the next leader; when none comes, the store is
// asked to wait (Store::wait_journaled) for all who are left. That is a write's time lost, and
// there is always a next one only where many are under way: few wait each by itself.
//
// An answer is only worth something from the mongod that ran the write: one that died would have
// taken it along, and another may stand in its place. A leader's connection that was open before
// the follower was sent is to the same mongod, for it has not closed since. The store's own
// connection says nothing of that, so then the follower must see whether its own still answers.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "config/result.h"
#include "proxy/net/loop.h"
#include "replication/store/store.h"

namespace outrigger {

// Of the loop's thread. Outlives every write that entered.
class JournalWaits {
 public:
  enum class Role : uint8_t {
    kByItself,  // sent with a concern that waits, on its own account
    kFollows,   // sent with w: 1; then `answered`
    kLeads,     // sent with w: majority, j: true; then `led`
  };
  enum class Outcome : uint8_t {
    kJournaled,
    kIfStillOurs,  // journaled, if the connection that was answered still gets answers
    kUnknown,      // the write is in doubt
  };
  using Shot = std::shared_ptr<net::OneShot<Outcome>>;

  // Store::wait_journaled on another thread; calls back on any thread.
  using WhenJournaled = std::function<void(std::function<void(const Status&)>)>;
  // Told how many writes one wait has served, the leader included.
  using Served = std::function<void(size_t writes)>;
  // Told of each write that is sent, and whether no other is under way.
  using Sent = std::function<void(bool alone)>;

  // A follower waits this long when no leader is under way, and this long at all, before the store
  // is asked. A leader can be held up by a lock that is none of its followers' business.
  static constexpr uint64_t kUnledUsMax = 2'000;
  static constexpr uint64_t kPatienceUs = 50'000;
  // Fewer writes than these make no followers. Of mongod's own rate, with sharing and without: 0.61
  // and 0.68 at 2 connections, 0.58 and 0.66 at 4, the same at 8, 0.84 and 0.79 at 16.
  static constexpr size_t kSharingMin = 6;

  // One write, from the moment it is bound to be sent in this turn until its answer is dealt with.
  class Write {
   public:
    // `may_share`: its wait may be another's, and another's its own.
    Write(JournalWaits& waits, bool may_share);
    ~Write();
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;

    // It will not be sent in this turn after all, and so nobody's wait depends on it.
    void leave_turn();
    // It is sent now. Once.
    [[nodiscard]] Role send();
    // A follower was answered; `at` is the optime its answer names (zero: none). Gives where its
    // fate will be told.
    [[nodiscard]] Shot answered(Timestamp at);
    // A leader was answered without any error, so that all through optime `at` is journaled. Its
    // connection has been open since `opened_us` (of the loop's clock).
    void led(Timestamp at, uint64_t opened_us);
    // It has its answer, or will have none: nobody is led by it any longer.
    void end();

   private:
    JournalWaits& waits_;
    const bool may_share_;
    bool in_turn_;           // may share, and is not sent yet
    bool under_way_ = true;  // not ended yet
    Role role_ = Role::kByItself;
    uint64_t sent_us_ = 0;
  };

  // `loop` outlives this.
  JournalWaits(net::Loop& loop, WhenJournaled when_journaled, Served served, Sent sent)
      : loop_(loop),
        when_journaled_(std::move(when_journaled)),
        served_(std::move(served)),
        sent_(std::move(sent)),
        timer_(loop) {}

 private:
  struct Waiting {
    Shot shot;
    Timestamp at;  // its optime
    uint64_t sent_us = 0;
    uint64_t since_us = 0;  // answered
  };
  // What a thread that answers late may find gone.
  struct Asking {
    JournalWaits* owner;
  };

  void watch();
  void ask(uint64_t now_us);
  void heard(uint64_t asked_us, const Status& journaled);

  net::Loop& loop_;
  const WhenJournaled when_journaled_;
  const Served served_;
  const Sent sent_;
  size_t in_turn_ = 0;            // writes that may share, and are not sent yet
  size_t sharing_ = 0;            // ... and have not ended yet
  size_t under_way_ = 0;          // all writes that have not ended yet
  size_t followers_ = 0;          // sent in this turn
  size_t leaders_ = 0;            // not answered yet
  std::vector<Waiting> waiting_;  // answered followers, in that order
  bool watching_ = false;
  std::shared_ptr<Asking> asking_;  // the store, now
  net::Timer timer_;
};

}  // namespace outrigger
