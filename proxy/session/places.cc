#include "proxy/session/places.h"

namespace outrigger {

bool Places::take() {
  const MutexLock lock(mutex_);
  if (taken_ >= places_max_) return false;
  ++taken_;
  return true;
}

void Places::give_back() {
  const MutexLock lock(mutex_);
  --taken_;
}

uint64_t Places::taken() const {
  const MutexLock lock(mutex_);
  return taken_;
}

void Places::add(Guest guest, uint64_t now_us) {
  const MutexLock lock(mutex_);
  strangers_[guest.loop].add(guest.number, now_us);
}

void Places::spoke(Guest guest, uint64_t now_us) {
  const MutexLock lock(mutex_);
  strangers_[guest.loop].spoke(guest.number, now_us);
}

void Places::remove(Guest guest) {
  const MutexLock lock(mutex_);
  strangers_[guest.loop].remove(guest.number);
}

std::optional<Guest> Places::take_first_to_go() {
  const MutexLock lock(mutex_);
  size_t loop = 0;
  for (size_t i = 1; i < strangers_.size(); ++i) {
    if (strangers_[i].goes_before(strangers_[loop])) loop = i;
  }
  const std::optional<uint64_t> first = strangers_[loop].first_to_go();
  if (!first) return std::nullopt;
  strangers_[loop].remove(*first);
  return Guest{loop, *first};
}

std::vector<uint64_t> Places::strangers_of(size_t loop) const {
  const MutexLock lock(mutex_);
  return strangers_[loop].all();
}

std::vector<uint64_t> Places::overdue(size_t loop, uint64_t now_us) const {
  const MutexLock lock(mutex_);
  return strangers_[loop].overdue(now_us);
}

}  // namespace outrigger
