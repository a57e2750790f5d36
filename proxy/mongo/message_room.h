// Room for messages that arrive in pieces: how much of them all connections together may hold.
//
// The problem: a message may be 48 MB, anybody may send the first 47 of them and then wait, and a
// thousand may do so at once. The idea: before more than one read of a message is gathered, its
// whole length is taken from a room of fixed size, in the order asked; who does not fit waits, and
// is not read from meanwhile. Since whole lengths are taken, nobody who has room ever waits for
// more, so all of them end, or stop. Those that stop are found when others wait: a message that
// has not come at a certain rate by then is pushed out, its connection closed. While there is room
// for all, nobody is hurried. Room is held until the message has been served, so that what becomes
// of messages is bounded with them. Where several loops serve connections, each has its own doors
// to a room (MessageRoom) and they share what it holds (RoomBudget).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "config/limits.h"
#include "config/thread_annotations.h"
#include "proxy/net/loop.h"
#include "proxy/net/task.h"

namespace outrigger {

class MessageRoom;

// The bytes of one room, shared by the loops of a process: what it may hold is one number however
// many loops serve connections, and those who wait for a part of it are served in the order asked,
// on whichever loop they are. Thread-safe.
class RoomBudget {
 public:
  // A message that waits for its bytes. `on_granted` and `on_pushed_out` are called on its loop,
  // one of them at most, unless cancel() said true before.
  class Ticket {
   public:
    Ticket(net::Loop& loop, size_t bytes, std::function<void()> on_granted,
           std::function<void()> on_pushed_out)
        : loop_(loop),
          bytes_(bytes),
          on_granted_(std::move(on_granted)),
          on_pushed_out_(std::move(on_pushed_out)) {}

   private:
    friend class RoomBudget;
    net::Loop& loop_;
    const size_t bytes_;
    const std::function<void()> on_granted_;
    const std::function<void()> on_pushed_out_;
    bool is_waiting_ = false;  // under the budget's mutex
    bool is_granted_ = false;  // the same
  };
  using TicketPointer = std::shared_ptr<Ticket>;

  explicit RoomBudget(size_t bytes) : bytes_(bytes) {}

  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] size_t held_bytes() const;
  [[nodiscard]] size_t waiting() const;

  // True: the bytes are taken, at once. False: there are none, or others wait for them.
  [[nodiscard]] bool take(size_t bytes);
  // The same; false: the ticket waits its turn. When too many do, the one that has waited for
  // longest is pushed out.
  [[nodiscard]] bool take(const TicketPointer& ticket);
  // Nobody wants it any more. False: it was granted, and whoever hears of that gives it back.
  [[nodiscard]] bool cancel(const TicketPointer& ticket);
  void give_back(size_t bytes);

  // Called, on any thread, whenever the first one has begun to wait. For as long as `room` lives:
  // forget() ends it.
  void on_wait(const MessageRoom* room, std::function<void()> tell);
  void forget(const MessageRoom* room);

 private:
  struct Room {
    const MessageRoom* room;
    std::function<void()> tell;
  };
  [[nodiscard]] bool fits(size_t bytes) const REQUIRES(mutex_) {
    return held_bytes_ + bytes <= bytes_;
  }
  [[nodiscard]] std::vector<TicketPointer> grant() REQUIRES(mutex_);
  static void tell(const std::vector<TicketPointer>& granted);

  const size_t bytes_;
  mutable Mutex mutex_;
  size_t held_bytes_ GUARDED_BY(mutex_) = 0;
  std::deque<TicketPointer> waiting_ GUARDED_BY(mutex_);  // who has waited for longest first
  std::vector<Room> rooms_ GUARDED_BY(mutex_);
};

// Of the loop's thread. Outlives its holds.
class MessageRoom {
  struct Wait;

 public:
  // One connection's part. Released when it dies; nobody may wait on it then.
  class Hold {
   public:
    // `push_out` ends the connection, soon: it is called from the room's own code.
    Hold(std::function<size_t()> gathered, std::function<void()> push_out)
        : gathered_(std::move(gathered)), push_out_(std::move(push_out)) {}
    ~Hold() { release(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    // Takes `bytes` of `room`, more than it has being all of it. False: the connection has been
    // given up meanwhile. Not while something is held.
    net::Task<bool> take(MessageRoom& room, size_t bytes);
    // The same, at once or not at all: also not while others wait.
    [[nodiscard]] bool take_now(MessageRoom& room, size_t bytes);
    // The message is whole: nobody is pushed out for its own work.
    void complete() { is_complete_ = true; }
    // From now on it is the other side again that has to keep up.
    void resume();
    // Gives back what is held; a take() that waits returns false.
    void release();
    [[nodiscard]] bool is_held() const { return room_ != nullptr; }

   private:
    friend class MessageRoom;
    const std::function<size_t()> gathered_;  // bytes of the message that have come
    const std::function<void()> push_out_;
    MessageRoom* room_ = nullptr;
    size_t bytes_ = 0;
    uint64_t since_us_ = 0;  // when the bytes were taken
    bool is_complete_ = false;
    std::shared_ptr<Wait> waiting_;
  };

  // `loop` outlives the budget.
  MessageRoom(net::Loop& loop, std::shared_ptr<RoomBudget> budget);
  ~MessageRoom();
  MessageRoom(const MessageRoom&) = delete;
  MessageRoom& operator=(const MessageRoom&) = delete;

  [[nodiscard]] uint64_t pushed_out() const { return pushed_out_; }

 private:
  // A Hold that waits; what comes back from the budget may find it gone.
  struct Wait {
    Wait(net::Loop& loop, Hold* waiting) : hold(waiting), granted(loop) {}
    Hold* hold;
    net::OneShot<bool> granted;
    RoomBudget::TicketPointer ticket;
  };
  struct Self {
    MessageRoom* room;
  };

  void hold(Hold& hold);
  [[nodiscard]] std::shared_ptr<Wait> wait(Hold& hold);
  void push_out(Hold& hold);
  void watch();
  void push_out_the_slow();

  net::Loop& loop_;
  const std::shared_ptr<RoomBudget> budget_;
  uint64_t pushed_out_ = 0;
  std::set<Hold*> holders_;
  size_t waiting_ = 0;
  net::Timer timer_;  // runs while somebody waits, here or on another loop
  bool watching_ = false;
  std::shared_ptr<Self> self_;
};

// How much of messages that come in pieces all loops together may gather.
struct RoomBudgets {
  std::shared_ptr<RoomBudget> strangers = std::make_shared<RoomBudget>(limits::kStrangerRoomBytes);
  std::shared_ptr<RoomBudget> small = std::make_shared<RoomBudget>(limits::kSmallRoomBytes);
  std::shared_ptr<RoomBudget> large = std::make_shared<RoomBudget>(limits::kLargeRoomBytes);
  // Of replies that are held whole (client/client_replies.h).
  std::shared_ptr<RoomBudget> replies = std::make_shared<RoomBudget>(limits::kRepliesRoomBytes);
};

// Where one loop gathers them.
struct MessageRooms {
  MessageRooms(net::Loop& loop, const RoomBudgets& budgets)
      : strangers(loop, budgets.strangers),
        small(loop, budgets.small),
        large(loop, budgets.large),
        replies(loop, budgets.replies) {}
  MessageRoom strangers;
  MessageRoom small;
  MessageRoom large;
  MessageRoom replies;
};

}  // namespace outrigger
