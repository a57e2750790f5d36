// The timers of one loop in virtual time, in the order in which they fire. Private to net/memory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "proxy/net/loop.h"

namespace outrigger::net {

class ArmedTimers {
 public:
  // `now_us` is read whenever a timer is armed, and outlives this.
  explicit ArmedTimers(const uint64_t& now_us) : now_us_(now_us) {}
  ArmedTimers(const ArmedTimers&) = delete;
  ArmedTimers& operator=(const ArmedTimers&) = delete;
  ~ArmedTimers();

  [[nodiscard]] TimerHandle* make(Timer& timer);
  // Those that are due, but none that is armed meanwhile: one that arms itself again for now must
  // not keep everybody else from running.
  void fire_due();
  [[nodiscard]] std::optional<uint64_t> next_us() const;

 private:
  class Handle;
  using Due = std::pair<uint64_t, uint64_t>;  // when, and after how many others were armed

  const uint64_t& now_us_;
  std::map<Due, Handle*> armed_;
  uint64_t arms_ = 0;
  size_t timers_ = 0;
};

}  // namespace outrigger::net
