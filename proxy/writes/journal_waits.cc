#include "proxy/writes/journal_waits.h"

#include <utility>

namespace outrigger {
namespace {

constexpr int64_t kLeaderWatchMs = 2;

}  // namespace

JournalWaits::Write::Write(JournalWaits& waits, bool may_share)
    : waits_(waits), may_share_(may_share), in_turn_(may_share) {
  ++waits_.under_way_;
  if (!may_share_) return;
  ++waits_.in_turn_;
  ++waits_.sharing_;
}

JournalWaits::Write::~Write() { end(); }

void JournalWaits::Write::end() {
  leave_turn();
  if (std::exchange(under_way_, false)) {
    --waits_.under_way_;
    if (may_share_) --waits_.sharing_;
  }
  if (std::exchange(role_, Role::kByItself) == Role::kLeads) --waits_.leaders_;
}

void JournalWaits::Write::leave_turn() {
  if (!std::exchange(in_turn_, false)) return;
  if (--waits_.in_turn_ == 0) waits_.followers_ = 0;
}

JournalWaits::Role JournalWaits::Write::send() {
  OUTRIGGER_ASSERT(sent_us_ == 0);
  sent_us_ = waits_.loop_.now_us();
  const bool last = !in_turn_ || waits_.in_turn_ == 1;
  const bool wanted = !waits_.waiting_.empty() || (in_turn_ && waits_.followers_ > 0);
  if (!last && waits_.sharing_ >= kSharingMin) {
    role_ = Role::kFollows;
    ++waits_.followers_;
  } else if (last && may_share_ && wanted) {
    role_ = Role::kLeads;
    ++waits_.leaders_;
  }
  waits_.sent_(waits_.under_way_ == 1);
  leave_turn();
  return role_;
}

JournalWaits::Shot JournalWaits::Write::answered(Timestamp at) {
  OUTRIGGER_ASSERT(role_ == Role::kFollows);
  auto shot = std::make_shared<net::OneShot<Outcome>>(waits_.loop_);
  waits_.waiting_.push_back({shot, at, sent_us_, waits_.loop_.now_us()});
  waits_.watch();
  return shot;
}

void JournalWaits::Write::led(Timestamp at, uint64_t opened_us) {
  OUTRIGGER_ASSERT(role_ == Role::kLeads);
  const size_t before = waits_.waiting_.size();
  std::erase_if(waits_.waiting_, [&](const Waiting& each) {
    if (each.at == Timestamp{} || each.at > at || opened_us >= each.sent_us) return false;
    each.shot->set(Outcome::kJournaled);
    return true;
  });
  waits_.served_(before - waits_.waiting_.size() + 1);
}

void JournalWaits::watch() {
  if (watching_) return;
  watching_ = true;
  timer_.start(kLeaderWatchMs, [this] {
    watching_ = false;
    if (waiting_.empty()) return;
    const uint64_t now_us = loop_.now_us();
    const uint64_t waited_us = now_us - waiting_.front().since_us;
    const uint64_t us_max = leaders_ == 0 ? kUnledUsMax : kPatienceUs;
    if (!asking_ && waited_us >= us_max) ask(now_us);
    watch();
  });
}

void JournalWaits::ask(uint64_t now_us) {
  asking_ = std::make_shared<Asking>(Asking{this});
  when_journaled_([asking = std::weak_ptr(asking_), now_us, &loop = loop_](const Status& status) {
    loop.post([asking, now_us, status] {
      if (const auto still = asking.lock()) still->owner->heard(now_us, status);
    });
  });
}

void JournalWaits::heard(uint64_t asked_us, const Status& journaled) {
  asking_.reset();
  const size_t served = std::erase_if(waiting_, [&](const Waiting& each) {
    if (each.since_us > asked_us) return false;
    each.shot->set(journaled ? Outcome::kIfStillOurs : Outcome::kUnknown);
    return true;
  });
  if (served > 0) served_(served);
}

}  // namespace outrigger
