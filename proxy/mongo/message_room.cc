#include "proxy/mongo/message_room.h"

#include <algorithm>
#include <utility>
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

size_t RoomBudget::held_bytes() const {
  const MutexLock lock(mutex_);
  return held_bytes_;
}

size_t RoomBudget::waiting() const {
  const MutexLock lock(mutex_);
  return waiting_.size();
}

bool RoomBudget::take(size_t bytes) {
  const MutexLock lock(mutex_);
  if (!waiting_.empty() || !fits(bytes)) return false;
  held_bytes_ += bytes;
  return true;
}

bool RoomBudget::take(const TicketPointer& ticket) {
  TicketPointer longest;
  std::vector<TicketPointer> granted;
  std::vector<Room> to_tell;
  {
    const MutexLock lock(mutex_);
    if (waiting_.empty() && fits(ticket->bytes_)) {
      held_bytes_ += ticket->bytes_;
      return true;
    }
    ticket->is_waiting_ = true;
    waiting_.push_back(ticket);
    if (waiting_.size() == 1) to_tell = rooms_;
    if (waiting_.size() > limits::kRoomWaitersMax) {
      longest = waiting_.front();
      longest->is_waiting_ = false;
      waiting_.pop_front();
      granted = grant();  // those behind it may fit
    }
  }
  tell(granted);
  for (const Room& room : to_tell) room.tell();
  if (longest) longest->loop_.post([longest] { longest->on_pushed_out_(); });
  return false;
}

bool RoomBudget::cancel(const TicketPointer& ticket) {
  std::vector<TicketPointer> granted;
  {
    const MutexLock lock(mutex_);
    if (!std::exchange(ticket->is_waiting_, false)) return !ticket->is_granted_;
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), ticket));
    granted = grant();
  }
  tell(granted);
  return true;
}

void RoomBudget::give_back(size_t bytes) {
  std::vector<TicketPointer> granted;
  {
    const MutexLock lock(mutex_);
    held_bytes_ -= bytes;
    granted = grant();
  }
  tell(granted);
}

std::vector<RoomBudget::TicketPointer> RoomBudget::grant() {
  std::vector<TicketPointer> granted;
  while (!waiting_.empty() && fits(waiting_.front()->bytes_)) {
    Ticket& first = *waiting_.front();
    held_bytes_ += first.bytes_;
    first.is_waiting_ = false;
    first.is_granted_ = true;
    granted.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return granted;
}

void RoomBudget::tell(const std::vector<TicketPointer>& granted) {
  for (const TicketPointer& ticket : granted) {
    ticket->loop_.post([ticket] { ticket->on_granted_(); });
  }
}

void RoomBudget::on_wait(const MessageRoom* room, std::function<void()> tell) {
  const MutexLock lock(mutex_);
  rooms_.push_back({room, std::move(tell)});
}

void RoomBudget::forget(const MessageRoom* room) {
  const MutexLock lock(mutex_);
  std::erase_if(rooms_, [room](const Room& each) { return each.room == room; });
}

bool MessageRoom::Hold::take_now(MessageRoom& room, size_t bytes) {
  OUTRIGGER_ASSERT(room_ == nullptr);
  bytes_ = std::min(bytes, room.budget_->bytes());
  is_complete_ = false;
  if (!room.budget_->take(bytes_)) return false;
  room_ = &room;
  room.hold(*this);
  return true;
}

void MessageRoom::Hold::resume() {
  is_complete_ = false;
  if (room_ != nullptr) since_us_ = room_->loop_.now_us();
}

net::Task<bool> MessageRoom::Hold::take(MessageRoom& room, size_t bytes) {
  if (take_now(room, bytes)) co_return true;
  room_ = &room;
  const std::shared_ptr<Wait> wait = room.wait(*this);
  if (!wait) co_return true;
  const bool got = co_await wait->granted.wait();
  co_return got;
}

void MessageRoom::Hold::release() {
  if (room_ == nullptr) return;
  MessageRoom& room = *std::exchange(room_, nullptr);
  if (waiting_) {
    --room.waiting_;
    const std::shared_ptr<Wait> wait = std::exchange(waiting_, nullptr);
    wait->hold = nullptr;
    (void)room.budget_->cancel(wait->ticket);  // or what is on its way gives it back
    wait->granted.set(false);
  } else {
    room.holders_.erase(this);
    room.budget_->give_back(bytes_);
  }
}

MessageRoom::MessageRoom(net::Loop& loop, std::shared_ptr<RoomBudget> budget)
    : loop_(loop),
      budget_(std::move(budget)),
      timer_(loop),
      self_(std::make_shared<Self>(Self{this})) {
  budget_->on_wait(this, [self = std::weak_ptr(self_), &loop] {
    loop.post([self] {
      if (const auto still = self.lock()) still->room->watch();
    });
  });
}

MessageRoom::~MessageRoom() {
  OUTRIGGER_ASSERT(holders_.empty() && waiting_ == 0);
  budget_->forget(this);
}

void MessageRoom::hold(Hold& hold) {
  hold.since_us_ = loop_.now_us();
  holders_.insert(&hold);
}

// Nothing: it need not wait after all.
std::shared_ptr<MessageRoom::Wait> MessageRoom::wait(Hold& hold) {
  const auto wait = std::make_shared<Wait>(loop_, &hold);
  std::function<void()> granted = [wait = std::weak_ptr(wait), budget = budget_,
                                   bytes = hold.bytes_, this] {
    const auto still = wait.lock();
    if (!still || still->hold == nullptr) return budget->give_back(bytes);
    --waiting_;
    this->hold(*still->hold);
    still->hold->waiting_ = nullptr;
    still->granted.set(true);
  };
  std::function<void()> pushed_out = [wait = std::weak_ptr(wait), this] {
    const auto still = wait.lock();
    if (!still || still->hold == nullptr) return;
    Hold& longest = *still->hold;
    push_out(longest);
    longest.release();
  };
  wait->ticket = std::make_shared<RoomBudget::Ticket>(loop_, hold.bytes_, std::move(granted),
                                                      std::move(pushed_out));
  ++waiting_;
  hold.waiting_ = wait;
  if (!budget_->take(wait->ticket)) return wait;
  --waiting_;
  hold.waiting_ = nullptr;
  this->hold(hold);
  return nullptr;
}

void MessageRoom::push_out(Hold& hold) {
  ++pushed_out_;
  hold.push_out_();
}

void MessageRoom::watch() {
  if (std::exchange(watching_, true)) return;
  timer_.start(kRoomWatchMs, [this] {
    watching_ = false;
    if (budget_->waiting() == 0) return;
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
  for (Hold* hold : slow) push_out(*hold);
}

}  // namespace outrigger
