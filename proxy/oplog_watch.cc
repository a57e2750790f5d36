#include "proxy/oplog_watch.h"

#include <utility>

namespace outrigger {

void OplogWatch::write(bool alone) {
  const uint64_t now_us = loop_.now_us();
  const bool often = alone && now_us - last_us_ <= kOftenUs;
  last_us_ = alone ? now_us : 0;
  if (often && !watching_ && now_us >= not_before_us_) begin();
}

void OplogWatch::begin() {
  watching_ = true;
  watch_(kWatch, [life = std::weak_ptr(life_), &loop = loop_](const Status& status) {
    loop.post([life, status] {
      if (const auto self = life.lock()) (*self)->ended(status);
    });
  });
}

void OplogWatch::ended(const Status& status) {
  watching_ = false;
  const uint64_t now_us = loop_.now_us();
  if (!status) {
    not_before_us_ = now_us + kPauseUs;
  } else if (now_us - last_us_ <= kOftenUs) {
    begin();
  }
}

}  // namespace outrigger
