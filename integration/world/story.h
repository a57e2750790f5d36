// What happened in a world, for people: the last events, each with its time and who it happened
// to. And for the check that a seed replays: a digest of all of them.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "config/log.h"
#include "proxy/net/loop_driver.h"

namespace outrigger::world {

class Story {
 public:
  // `time` outlives it.
  explicit Story(const net::LoopDriver& time, size_t events_max = 300)
      : time_(time), events_max_(events_max) {}

  void tell(std::string_view who, std::string_view what);
  // The last events, a line each.
  [[nodiscard]] std::string text() const;
  // Of all events so far, their times and order.
  [[nodiscard]] uint64_t digest() const { return digest_; }
  [[nodiscard]] uint64_t events() const { return events_; }
  // Every event goes to stderr as it comes.
  void tell_aloud() { is_aloud_ = true; }

  // A log whose lines are events of `who`. The story outlives it.
  [[nodiscard]] Logger logger(const std::string& who);

 private:
  const net::LoopDriver& time_;
  const size_t events_max_;
  std::deque<std::string> last_;
  uint64_t digest_ = 14695981039346656037ULL;  // FNV-1a
  uint64_t events_ = 0;
  bool is_aloud_ = false;
};

}  // namespace outrigger::world
