#include "proxy/net/memory/memory_flow.h"

#include <algorithm>

namespace outrigger::net {

namespace {

constexpr size_t kInFlightBytesMax = 256 * 1024;

}  // namespace

int64_t MemoryLine::draw_ms(std::mt19937_64& random) const {
  if (delay.ms_max <= delay.ms_min) return delay.ms_min;
  const auto choices = static_cast<uint64_t>(delay.ms_max - delay.ms_min + 1);
  return delay.ms_min + static_cast<int64_t>(random() % choices);
}

void MemoryLine::heal() {
  is_cut = false;
  for (MemoryFlow* flow : flows) flow->wake();
}

MemoryFlow::MemoryFlow(Loop& loop, MemoryLine& line, std::mt19937_64& random, Stream& from,
                       Stream& to, MemoryWire to_wire)
    : loop_(loop),
      line_(line),
      random_(random),
      from_(from),
      to_(to),
      to_wire_(std::move(to_wire)),
      timer_(loop),
      news_(loop),
      room_(loop) {
  line_.flows.push_back(this);
}

MemoryFlow::~MemoryFlow() { line_.flows.remove(this); }

Task<void> MemoryFlow::run() {
  tasks_.spawn(take());
  tasks_.spawn(deliver());
  co_await tasks_.until_empty();
}

void MemoryFlow::close() {
  is_closed_ = true;
  timer_.close();
  news_.set();
  room_.set();
}

void MemoryFlow::send(Packet::Kind kind, std::string bytes) {
  const auto delay_us = static_cast<uint64_t>(line_.draw_ms(random_)) * 1000;
  last_due_us_ = std::max(last_due_us_, loop_.now_us() + delay_us);
  in_flight_bytes_ += bytes.size();
  in_flight_.push_back({kind, last_due_us_, std::move(bytes)});
  news_.set();
}

Task<void> MemoryFlow::take() {
  while (!is_closed_) {
    Result<std::string_view> bytes = co_await from_.read_some();
    if (!bytes) {
      send(Packet::Kind::kReset, {});
      co_return;
    }
    if (bytes->empty()) {
      send(Packet::Kind::kEnd, {});
      co_return;
    }
    send(Packet::Kind::kBytes, std::string(*bytes));
    while (in_flight_bytes_ >= kInFlightBytesMax && !is_closed_) co_await room_.wait();
  }
}

Task<void> MemoryFlow::deliver() {
  while (!is_closed_) {
    if (in_flight_.empty() || line_.is_cut) {
      co_await news_.wait();
      continue;
    }
    const uint64_t due_us = in_flight_.front().due_us;
    const uint64_t now_us = loop_.now_us();
    if (due_us > now_us) {
      const auto wait_ms = static_cast<int64_t>((due_us - now_us + 999) / 1000);
      co_await timer_.sleep_ms(wait_ms);
      continue;  // the line may have been cut meanwhile
    }
    Packet packet = std::move(in_flight_.front());
    in_flight_.pop_front();
    in_flight_bytes_ -= packet.bytes.size();
    room_.set();
    const bool goes_on = co_await hand_over(std::move(packet));
    if (!goes_on) co_return;
  }
}

// False: this was the last.
Task<bool> MemoryFlow::hand_over(Packet packet) {
  if (packet.kind == Packet::Kind::kReset) {
    to_wire_.cut();
    co_return false;
  }
  if (packet.kind == Packet::Kind::kEnd) {
    const Status ended = co_await to_.shutdown();
    static_cast<void>(ended);  // who has closed needs no end
    co_return false;
  }
  if (nobody_takes_) co_return true;
  const Status sent = co_await to_.write(packet.bytes);
  nobody_takes_ = !sent;
  co_return true;
}

}  // namespace outrigger::net
