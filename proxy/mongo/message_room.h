// Room for messages that arrive in pieces: how much of them all connections together may hold.
//
// The problem: a message may be 48 MB, anybody may send the first 47 of them and then wait, and a
// thousand may do so at once. The idea: before more than one read of a message is gathered, its
// whole length is taken from a room of fixed size, in the order asked; who does not fit waits, and
// is not read from meanwhile. Since whole lengths are taken, nobody who has room ever waits for
// more, so all of them end, or stop. Those that stop are found when others wait: a message that
// has not come at a certain rate by then is pushed out, its connection closed. While there is room
// for all, nobody is hurried. Room is held until the message has been served, so that what becomes
// of messages is bounded with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>

#include "proxy/net/loop.h"
#include "proxy/net/task.h"

namespace outrigger {

// Of the loop's thread. Outlives its holds.
class MessageRoom {
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
    // The message is whole: nobody is pushed out for its own work.
    void complete() { is_complete_ = true; }
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
    std::shared_ptr<net::OneShot<bool>> waiting_;
  };

  MessageRoom(net::Loop& loop, size_t bytes) : loop_(loop), bytes_(bytes), timer_(loop) {}
  ~MessageRoom();
  MessageRoom(const MessageRoom&) = delete;
  MessageRoom& operator=(const MessageRoom&) = delete;

  [[nodiscard]] size_t held_bytes() const { return held_bytes_; }
  [[nodiscard]] size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] uint64_t pushed_out() const { return pushed_out_; }

 private:
  [[nodiscard]] bool fits(size_t bytes) const { return held_bytes_ + bytes <= bytes_; }
  void grant(Hold& hold);
  void grant_waiting();
  void watch();
  void push_out_the_slow();

  net::Loop& loop_;
  const size_t bytes_;
  size_t held_bytes_ = 0;
  uint64_t pushed_out_ = 0;
  std::set<Hold*> holders_;
  std::deque<Hold*> waiting_;
  net::Timer timer_;  // runs while somebody waits
  bool watching_ = false;
};

}  // namespace outrigger
