// The clock that stamps local writes: never behind anything this site has seen, strictly
// increasing, and close to the wall clock when that behaves.
//
// Stamps must keep increasing over a crash that loses the newest of them, so the owner keeps a
// bound on disk that lies ahead of every stamp issued: it persists bound_needed() whenever that is
// not zero, then calls set_bound(); issue() never goes beyond. After a restart the clock starts
// from the largest of persisted bound, last stamp on disk and wall clock. The bound is measured
// from the wall clock, not from the last bound, so that quick restarts do not push the clock away.
//
// A wall clock that jumps changes who wins a conflict, never convergence: stamps of peers that are
// too far ahead are not observed (the link holds that stream), and a wall clock that fell behind
// our own stamps is reported, while stamps go on increasing by the counter.
#pragma once

#include "config/clock.h"
#include "replication/causality/stamp.h"

namespace outrigger {

// Not thread-safe: the owner holds the lock under which it also reads the vector a write depends
// on (a stamp and its dependencies are taken in one critical section).
class HybridClock {
 public:
  struct Options {
    int64_t ahead_ms_max = 60'000;    // how far a peer's stamp may lie beyond our wall clock
    int64_t behind_ms_max = 300'000;  // how far our wall clock may lie behind our own stamps
    int64_t bound_ms = 10'000;        // how far ahead of the wall clock the bound is put
    int64_t renew_ms = 3'000;         // how old the bound may get
  };

  // `clock` must outlive this. `start`: the largest of the persisted bound and any stamp known; the
  // bound is then `start` itself, so the first stamp needs a new one.
  HybridClock(const Clock& clock, Hlc start, const Options& options);
  HybridClock(const Clock& clock, Hlc start) : HybridClock(clock, start, Options()) {}

  // The next stamp. 0 when the bound is used up: persist bound_needed(), set_bound(), ask again.
  [[nodiscard]] Hlc issue();
  // A stamp of a peer was applied: later local stamps lie beyond it.
  void observe(Hlc hlc);
  // Must this stamp be held back until our wall clock has come closer?
  [[nodiscard]] bool too_far_ahead(Hlc hlc) const;
  // The bound to persist now, or 0 when the present one will do for a while.
  [[nodiscard]] Hlc bound_needed() const;
  // `bound` is durable. A smaller one than before changes nothing.
  void set_bound(Hlc bound);
  // Is the wall clock so far behind our own stamps that somebody should be told?
  [[nodiscard]] bool wall_is_behind() const;

  // The largest stamp issued or observed.
  [[nodiscard]] Hlc now() const { return hlc_; }
  // The largest stamp issued by this object, 0 when none was: `issued` of a report.
  [[nodiscard]] Hlc issued() const { return issued_; }

 private:
  const Clock& clock_;
  const Options options_;
  Hlc hlc_;
  Hlc issued_ = 0;
  Hlc bound_;
};

}  // namespace outrigger
