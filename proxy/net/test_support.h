// Verbs shared by the tests of proxy/net: patterns that show where bytes went wrong, and a way to
// let the loop turn without waiting for time to pass.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/net/stream.h"

namespace outrigger::net::testing {

inline constexpr int64_t kTimeoutMs = 20'000;

// `co_await Turn(loop)`: lets everything that is ready run first.
class Turn {
 public:
  explicit Turn(Loop& loop) : loop_(loop) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) { loop_.resume_soon(waiting); }
  void await_resume() const noexcept {}

 private:
  Loop& loop_;
};

inline Task<void> turns(Loop& loop, int count) {
  for (int i = 0; i < count; ++i) co_await Turn(loop);
}

// Byte i of a stream of test data; its period is prime to every buffer size.
inline char pattern_at(size_t i) { return static_cast<char>(i % 251); }

inline std::string pattern(size_t begin, size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = pattern_at(begin + i);
  return bytes;
}

// Writes `total` bytes of pattern in uneven pieces, then closes its half.
inline Task<void> send_pattern(Stream& to, size_t total, Status& status) {
  const std::string block = pattern(0, 251 * 1000);
  size_t sent = 0;
  while (sent < total && status) {
    const size_t size = std::min<size_t>(total - sent, 251 * (1 + (sent / 251) % 997));
    status = co_await to.write(std::string_view(block).substr(0, size));
    sent += size;
  }
  if (status) status = co_await to.shutdown();
}

// Reads to the end, or to the first bytes that are not the pattern; gives how many matched.
inline Task<void> receive_pattern(Stream& from, int turns_between_reads, size_t& matched) {
  const std::string block = pattern(0, 251 + Loop::kReadBufferBytes);
  for (;;) {
    auto bytes = co_await from.read_some();
    if (!bytes || bytes->empty()) co_return;
    const std::string_view expected(block.data() + matched % 251, bytes->size());
    if (*bytes != expected) co_return from.close();  // else the sender would wait for ever
    matched += bytes->size();
    co_await turns(from.loop(), turns_between_reads);
  }
}

inline Task<void> relay(Stream& from, Stream& to) {
  for (;;) {
    auto bytes = co_await from.read_some();
    if (!bytes || bytes->empty()) break;
    Status sent = co_await to.write(*bytes);
    if (!sent) {
      from.close();
      break;
    }
  }
  (void)co_await to.shutdown();
}

inline Task<void> echo(Stream& stream) { return relay(stream, stream); }

// Keeps what one read gave.
struct ReadOutcome {
  bool is_done = false;
  std::string bytes;
  Status status;
};

inline Task<void> read_once(Stream& from, ReadOutcome& outcome) {
  auto bytes = co_await from.read_some();
  outcome.is_done = true;
  if (bytes) {
    outcome.bytes = *bytes;
  } else {
    outcome.status = tl::unexpected<Error>(bytes.error());
  }
}

struct WriteOutcome {
  bool is_done = false;
  Status status;
};

inline Task<void> write_once(Stream& to, std::string bytes, WriteOutcome& outcome) {
  outcome.status = co_await to.write(bytes);
  outcome.is_done = true;
}

inline Task<std::string> read_string(Stream& from, size_t size) {
  std::string bytes(size, '\0');
  Status status = co_await from.read_exactly(bytes);
  if (!status) co_return status.error().message();
  co_return bytes;
}

inline Task<void> all_gone(TaskGroup& tasks) { co_await tasks.until_empty(); }

inline void wait_for(Loop& loop, TaskGroup& tasks) { loop.block_on(all_gone(tasks)); }

}  // namespace outrigger::net::testing
