#include "proxy/mongo/message_room.h"

#include <algorithm>
#include <vector>

#include "config/limits.h"

namespace outrigger {
namespace {

constexpr int64_t kRoomWatchMs = 250;

// Whether `gathered` bytes are what must have come of a message in this time.
bool keeps_up(size_t gathered, uint64_t age_us) {
  const uint64_t grace_us = static_cast<uint64_t>(limits::kMessageGraceMs) * 1000;
  if (age_us <= grace_us) return true;
  return gathered * uint64_t{1'000'000} >= limits::kMessageRateMin * (age_us - grace_us);
}

}  // namespace

net::Task<bool> MessageRoom::Hold::take(MessageRoom& room, size_t bytes) {
  OUTRIGGER_ASSERT(room_ == nullptr);
  room_ = &room;
  bytes_ = std::min(bytes, room.bytes_);
  is_complete_ = false;
  if (room.waiting_.empty() && room.fits(bytes_)) {
    room.grant(*this);
    co_return true;
  }
  room.waiting_.push_back(this);
  const auto granted = std::make_shared<net::OneShot<bool>>(room.loop_);
  waiting_ = granted;
  if (room.waiting_.size() > limits::kRoomWaitersMax) {
    Hold* longest = room.waiting_.front();
    ++room.pushed_out_;
    longest->push_out_();
    longest->release();
  }
  room.watch();
  const bool got = co_await granted->wait();
  co_return got;
}

void MessageRoom::Hold::release() {
  if (room_ == nullptr) return;
  MessageRoom& room = *room_;
  room_ = nullptr;
  if (waiting_) {
    room.waiting_.erase(std::find(room.waiting_.begin(), room.waiting_.end(), this));
    std::exchange(waiting_, nullptr)->set(false);
  } else {
    room.holders_.erase(this);
    room.held_bytes_ -= bytes_;
  }
  room.grant_waiting();
}

MessageRoom::~MessageRoom() { OUTRIGGER_ASSERT(holders_.empty() && waiting_.empty()); }

void MessageRoom::grant(Hold& hold) {
  held_bytes_ += hold.bytes_;
  hold.since_us_ = loop_.now_us();
  holders_.insert(&hold);
}

void MessageRoom::grant_waiting() {
  while (!waiting_.empty() && fits(waiting_.front()->bytes_)) {
    Hold& first = *waiting_.front();
    waiting_.pop_front();
    grant(first);
    std::exchange(first.waiting_, nullptr)->set(true);
  }
}

void MessageRoom::watch() {
  if (watching_) return;
  watching_ = true;
  timer_.start(kRoomWatchMs, [this] {
    watching_ = false;
    if (waiting_.empty()) return;
    push_out_the_slow();
    watch();
  });
}

void MessageRoom::push_out_the_slow() {
  const uint64_t now_us = loop_.now_us();
  std::vector<Hold*> slow;
  for (Hold* hold : holders_) {
    if (hold->is_complete_ || keeps_up(hold->gathered_(), now_us - hold->since_us_)) continue;
    slow.push_back(hold);
  }
  for (Hold* hold : slow) {
    ++pushed_out_;
    hold->push_out_();
  }
}

}  // namespace outrigger
