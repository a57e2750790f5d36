#include "proxy/oplog_watch.h"

#include <utility>

namespace outrigger {

void OplogWatch::write(bool alone) {
  const int64_t now_us = clock_.monotonic_us();
  const bool often = alone && last_us_ && now_us - *last_us_ <= kOftenUs;
  last_us_.reset();
  if (alone) last_us_ = now_us;
  if (pause_until_us_ && now_us >= *pause_until_us_) pause_until_us_.reset();
  if (often && !watching_ && !pause_until_us_) begin();
}

void OplogWatch::begin() {
  watching_ = true;
  begun_us_ = clock_.monotonic_us();
  watch_(kWatch, [life = std::weak_ptr(life_), &loop = loop_](const Status& status) {
    loop.post([life, status] {
      if (const auto self = life.lock()) (*self)->ended(status);
    });
  });
}

void OplogWatch::ended(const Status& status) {
  watching_ = false;
  const int64_t now_us = clock_.monotonic_us();
  const bool waited = now_us - begun_us_ >= std::chrono::microseconds(kWatch).count() / 2;
  if (!status || !waited) {
    pause_until_us_ = now_us + kPauseUs;
  } else if (last_us_ && now_us - *last_us_ <= kOftenUs) {
    begin();
  }
}

}  // namespace outrigger
