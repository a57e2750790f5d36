#include "proxy/mongo/oplog_watch.h"

#include <utility>

namespace outrigger {

void OplogWatch::began(bool waits_for_journal) {
  const bool alone = ++under_way_ == 1 && waits_for_journal;
  const int64_t now_us = clock_.monotonic_us();
  const bool often = alone && wrote_lately(now_us);
  last_us_ = alone ? now_us : kNever;
  if (!often || now_us < pause_until_us_ || is_watching_.exchange(true)) return;
  loop_.post([self = std::weak_ptr(self_)] {
    if (const auto still = self.lock()) still->watch->begin();
  });
}

bool OplogWatch::wrote_lately(int64_t now_us) const { return now_us - last_us_ <= kOftenUs; }

void OplogWatch::begin() {
  watching_ = std::make_shared<Watching>(Watching{this, clock_.monotonic_us()});
  watch_(kWatch, [watching = std::weak_ptr(watching_), &loop = loop_](const Status& status) {
    loop.post([watching, status] {
      if (const auto still = watching.lock()) still->owner->ended(status);
    });
  });
}

void OplogWatch::ended(const Status& status) {
  const int64_t now_us = clock_.monotonic_us();
  const int64_t took_us = now_us - watching_->begun_us;
  watching_.reset();
  if (!status || took_us < std::chrono::microseconds(kWatch).count() / 2) {
    pause_until_us_ = now_us + kPauseUs;
    is_watching_ = false;
  } else if (wrote_lately(now_us)) {
    begin();
  } else {
    is_watching_ = false;
  }
}

}  // namespace outrigger
