#include "replication/causality/hybrid_clock.h"

#include <algorithm>

namespace outrigger {
namespace {

// Where the clock runs ahead of the wall, the bound needs little room: 65,536 stamps a millisecond.
constexpr int64_t kBoundRoomMs = 1'000;

constexpr Hlc plus_ms(Hlc hlc, int64_t ms) {
  const Hlc step = hlc_from_ms(ms);
  return hlc > kHlcMax - step ? kHlcMax : hlc + step;
}

}  // namespace

HybridClock::HybridClock(const Clock& clock, Hlc start, const Options& options)
    : clock_(clock), options_(options), hlc_(start), bound_(start) {}

Hlc HybridClock::issue() {
  if (hlc_ == kHlcMax) return 0;
  // One more than the last reading is "same millisecond, next counter"; a counter that overflows
  // carries into the milliseconds, which borrows the next one.
  const Hlc next = std::max(hlc_ + 1, hlc_from_ms(clock_.wall_ms()));
  if (next > bound_) return 0;
  hlc_ = issued_ = next;
  return next;
}

void HybridClock::observe(Hlc hlc) { hlc_ = std::max(hlc_, hlc); }

bool HybridClock::too_far_ahead(Hlc hlc) const {
  return hlc_ms(hlc) > clock_.wall_ms() + options_.ahead_ms_max;
}

Hlc HybridClock::bound_needed() const {
  const Hlc target =
      std::max(hlc_from_ms(clock_.wall_ms() + options_.bound_ms), plus_ms(hlc_, kBoundRoomMs));
  const bool fresh = plus_ms(bound_, options_.renew_ms) >= target;
  const bool roomy = bound_ >= plus_ms(hlc_, kBoundRoomMs / 2);
  return fresh && roomy ? 0 : target;
}

void HybridClock::set_bound(Hlc bound) { bound_ = std::max(bound_, bound); }

bool HybridClock::wall_is_behind() const {
  return hlc_ms(hlc_) > clock_.wall_ms() + options_.behind_ms_max;
}

}  // namespace outrigger
