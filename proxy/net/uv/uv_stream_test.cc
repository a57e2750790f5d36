#include <gtest/gtest.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "proxy/net/stream.h"
#include "proxy/net/uv/signals.h"
#include "proxy/net/uv/uv_test_support.h"

#if defined(__SANITIZE_ADDRESS__)
#define OUTRIGGER_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OUTRIGGER_TEST_ASAN 1
#endif
#endif
#ifndef OUTRIGGER_TEST_ASAN
#define OUTRIGGER_TEST_ASAN 0
#endif

namespace outrigger::net {
namespace {

using namespace testing;  // NOLINT: the verbs of this folder's tests

constexpr size_t kMiB = 1024 * 1024;

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t pages_total = 0;
  size_t pages_resident = 0;
  statm >> pages_total >> pages_resident;
  return pages_resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

class StreamTest : public ::testing::Test {
 protected:
  void SetUp() override { ignore_sigpipe(); }

  std::string read_string_from(Stream& from, size_t size) {
    return loop_.block_on(read_string(from, size));
  }

  Loop loop_;
  TaskGroup tasks_;
};

Task<void> write_pieces(Stream& to, size_t count, size_t piece_bytes, Status& status) {
  std::vector<std::string> owned;
  for (size_t i = 0; i < count; ++i) owned.push_back(pattern(i * piece_bytes, piece_bytes));
  const std::vector<std::string_view> pieces(owned.begin(), owned.end());
  status = co_await to.write(pieces);
  if (status) status = co_await to.shutdown();
}

// Client pairs on both sides of a relay: near <-> (in, out) <-> far.
struct Relayed {
  StreamPair left;
  StreamPair right;
  Status sent_right, sent_left;
  size_t got_right = 0, got_left = 0;
};

TEST_F(StreamTest, RelaysBothWaysWithSlowReadersInBoundedMemory) {
  constexpr size_t kPairs = 8;
  constexpr size_t kBytes = 40 * kMiB;
  std::vector<Relayed> all(kPairs);
  for (auto& one : all) {
    one.left = connected_pair(loop_);
    one.right = connected_pair(loop_);
  }
  const size_t resident_before = resident_bytes();
  for (auto& one : all) {
    tasks_.spawn(relay(*one.left.far, *one.right.near));
    tasks_.spawn(relay(*one.right.near, *one.left.far));
    tasks_.spawn(send_pattern(*one.left.near, kBytes, one.sent_right));
    tasks_.spawn(send_pattern(*one.right.far, kBytes, one.sent_left));
    tasks_.spawn(receive_pattern(*one.right.far, 3, one.got_right));
    tasks_.spawn(receive_pattern(*one.left.near, 0, one.got_left));
  }
  size_t unread_max = 0;
  size_t resident_max = 0;
  while (!tasks_.empty()) {
    loop_.block_on(turns(loop_, 50));
    for (auto& one : all) {
      unread_max = std::max(unread_max, one.right.far->unread_bytes());
      unread_max = std::max(unread_max, one.right.near->unread_bytes());
      unread_max = std::max(unread_max, one.left.far->unread_bytes());
    }
    resident_max = std::max(resident_max, resident_bytes());
  }
  for (auto& one : all) {
    EXPECT_EQ(one.got_right, kBytes);
    EXPECT_EQ(one.got_left, kBytes);
    EXPECT_TRUE(one.sent_right && one.sent_left);
  }
  EXPECT_GT(unread_max, 0u);  // the slow side really was slow
  EXPECT_LE(unread_max, 64 * 1024u);
  if (!OUTRIGGER_TEST_ASAN) {
    EXPECT_LT(resident_max, resident_before + 24 * kMiB);
  }
}

TEST_F(StreamTest, AWriteTheKernelTakesOnlyInPartWaitsAndLosesNothing) {
  auto pair = connected_pair(loop_);
  WriteOutcome outcome;
  tasks_.spawn(write_once(*pair.near, pattern(0, 16 * kMiB), outcome));
  loop_.block_on(turns(loop_, 10));
  EXPECT_FALSE(outcome.is_done);
  EXPECT_EQ(read_string_from(*pair.far, 16 * kMiB), pattern(0, 16 * kMiB));
  wait_for(loop_, tasks_);
  EXPECT_TRUE(outcome.status);
}

TEST_F(StreamTest, WritersOfOneStreamAreServedInOrder) {
  auto pair = connected_pair(loop_);
  std::array<WriteOutcome, 3> outcomes;
  size_t begin = 0;
  for (size_t i = 0; i < 3; ++i) {
    const size_t size = (i + 1) * 5 * kMiB;
    tasks_.spawn(write_once(*pair.near, pattern(begin, size), outcomes[i]));
    begin += size;
  }
  EXPECT_EQ(read_string_from(*pair.far, begin), pattern(0, begin));
  wait_for(loop_, tasks_);
}

TEST_F(StreamTest, AVectoredWriteKeepsTheOrderOfItsPieces) {
  for (const size_t piece_bytes : {size_t{3}, size_t{0}, kMiB / 2}) {
    auto pair = connected_pair(loop_);
    Status status;
    size_t got = 0;
    tasks_.spawn(write_pieces(*pair.near, 40, piece_bytes, status));
    loop_.block_on(receive_pattern(*pair.far, 0, got));
    wait_for(loop_, tasks_);
    EXPECT_TRUE(status);
    EXPECT_EQ(got, 40 * piece_bytes);
  }
}

TEST_F(StreamTest, UnreadBytesComeAgainFirst) {
  auto pair = connected_pair(loop_);
  WriteOutcome written;
  tasks_.spawn(write_once(*pair.near, "headbody", written));
  EXPECT_EQ(read_string_from(*pair.far, 4), "head");
  EXPECT_EQ(pair.far->unread_bytes(), 4u);
  pair.far->unread("more");
  EXPECT_EQ(read_string_from(*pair.far, 8), "morebody");
}

TEST_F(StreamTest, CloseResumesItsReaderSoonWithClosed) {
  auto pair = connected_pair(loop_);
  ReadOutcome outcome;
  tasks_.spawn(read_once(*pair.near, outcome));
  pair.near->close();
  pair.near->close();
  EXPECT_FALSE(outcome.is_done);
  wait_for(loop_, tasks_);
  ASSERT_FALSE(outcome.status);
  EXPECT_EQ(outcome.status.error().code, ErrorCode::kClosed);
  EXPECT_EQ(outcome.status.error().object, pair.near->peer_address());
}

TEST_F(StreamTest, CloseCancelsAPendingWriter) {
  auto pair = connected_pair(loop_);
  WriteOutcome outcome;
  tasks_.spawn(write_once(*pair.near, std::string(32 * kMiB, 'x'), outcome));
  ASSERT_FALSE(outcome.is_done);
  pair.near->close();
  EXPECT_FALSE(outcome.is_done);
  wait_for(loop_, tasks_);
  ASSERT_FALSE(outcome.status);
  EXPECT_EQ(outcome.status.error().code, ErrorCode::kClosed);
}

TEST_F(StreamTest, DestroyingAStreamReleasesItsReaderAndWriter) {
  auto pair = connected_pair(loop_);
  ReadOutcome read;
  WriteOutcome written;
  tasks_.spawn(read_once(*pair.near, read));
  tasks_.spawn(write_once(*pair.near, std::string(32 * kMiB, 'x'), written));
  pair.near.reset();
  wait_for(loop_, tasks_);
  EXPECT_FALSE(read.status);
  EXPECT_FALSE(written.status);
}

Task<void> read_and_destroy(std::unique_ptr<Stream> stream) {
  auto bytes = co_await stream->read_some();
  EXPECT_EQ(bytes.value_or("failed"), "bye");
  stream.reset();  // inside the read callback
}

TEST_F(StreamTest, AReaderMayDestroyItsStreamAsSoonAsItIsResumed) {
  auto pair = connected_pair(loop_);
  WriteOutcome written;
  tasks_.spawn(read_and_destroy(std::move(pair.near)));
  tasks_.spawn(write_once(*pair.far, "bye", written));
  wait_for(loop_, tasks_);
  ReadOutcome outcome;
  loop_.block_on(read_once(*pair.far, outcome));
  EXPECT_EQ(outcome.bytes, "");
}

TEST_F(StreamTest, UsingAClosedStreamIsAnError) {
  auto pair = connected_pair(loop_);
  pair.near->close();
  ReadOutcome read;
  WriteOutcome written;
  loop_.block_on(read_once(*pair.near, read));
  loop_.block_on(write_once(*pair.near, "x", written));
  ASSERT_FALSE(read.status);
  ASSERT_FALSE(written.status);
  EXPECT_EQ(read.status.error().code, ErrorCode::kClosed);
  EXPECT_EQ(written.status.error().code, ErrorCode::kClosed);
}

TEST_F(StreamTest, AHalfClosedStreamStillReads) {
  auto pair = connected_pair(loop_);
  Status sent;
  loop_.block_on(send_pattern(*pair.near, 1000, sent));
  size_t got = 0;
  loop_.block_on(receive_pattern(*pair.far, 0, got));
  EXPECT_EQ(got, 1000u);
  ReadOutcome again;
  loop_.block_on(read_once(*pair.far, again));
  EXPECT_TRUE(again.status && again.bytes.empty());  // the end stays the end
  WriteOutcome answer;
  loop_.block_on(write_once(*pair.far, "answer", answer));
  EXPECT_EQ(read_string_from(*pair.near, 6), "answer");
}

TEST_F(StreamTest, TellsOnceWhenTheOtherSideEndsWhileNobodyReads) {
  auto pair = connected_pair(loop_);
  int ends = 0;
  WriteOutcome written;
  pair.near->on_end([&] { ++ends; });
  loop_.block_on(write_once(*pair.far, "request", written));
  EXPECT_EQ(read_string_from(*pair.near, 7), "request");
  pair.far.reset();
  while (ends == 0) loop_.block_on(turns(loop_, 20));
  ReadOutcome outcome;
  loop_.block_on(read_once(*pair.near, outcome));
  EXPECT_TRUE(outcome.status && outcome.bytes.empty());
  EXPECT_EQ(ends, 1);
}

TEST_F(StreamTest, EachSideKnowsTheOtherByItsLocalAddress) {
  auto pair = connected_pair(loop_);
  EXPECT_EQ(pair.near->local_address(), pair.far->peer_address());
  EXPECT_EQ(pair.far->local_address(), pair.near->peer_address());
}

TEST_F(StreamTest, WritingToAPeerThatIsGoneIsAnErrorAndNoSignal) {
  auto pair = connected_pair(loop_);
  pair.far.reset();
  WriteOutcome outcome;
  for (int i = 0; i < 1000 && outcome.status; ++i) {
    loop_.block_on(write_once(*pair.near, std::string(kMiB, 'x'), outcome));
  }
  ASSERT_FALSE(outcome.status);
  EXPECT_EQ(outcome.status.error().code, ErrorCode::kClosed);
}

TEST_F(StreamTest, ConnectNamesTheAddressThatRefuses) {
  uint16_t port = 0;
  {
    auto listener = UvListener::listen(loop_, "127.0.0.1:0", [](auto) {});
    port = (*listener)->port();
  }
  auto stream = dial_to(loop_, "127.0.0.1:" + std::to_string(port));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(stream.error().object, "127.0.0.1:" + std::to_string(port));
}

TEST_F(StreamTest, ConnectResolvesNames) {
  auto listener = UvListener::listen(loop_, "127.0.0.1:0", [](auto) {});
  auto stream = dial_to(loop_, "localhost:" + std::to_string((*listener)->port()));
  ASSERT_TRUE(stream) << stream.error().message();
  EXPECT_TRUE((*stream)->is_loopback());
  auto missing = dial_to(loop_, "no-such-host.invalid:1");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().object, "no-such-host.invalid:1");
}

// A listener that never accepts, with its queue full: the kernel drops further SYNs.
class SilentPort {
 public:
  SilentPort() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* any = reinterpret_cast<sockaddr*>(&name);
    socklen_t size = sizeof name;
    EXPECT_EQ(::bind(fd_, any, size) | ::listen(fd_, 0) | ::getsockname(fd_, any, &size), 0);
    port_ = ntohs(name.sin_port);
    for (int& filler : fillers_) {
      filler = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      (void)::connect(filler, any, size);
    }
  }
  ~SilentPort() {
    ::close(fd_);
    for (const int filler : fillers_) ::close(filler);
  }
  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  int fd_;
  std::array<int, 8> fillers_{};
  uint16_t port_ = 0;
};

TEST_F(StreamTest, ConnectGivesUpWhenItsTimeIsOver) {
  const SilentPort silent;
  auto stream = dial_to(loop_, "127.0.0.1:" + std::to_string(silent.port()), 50);
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, ErrorCode::kTimeout);
}

Task<void> hold_open(std::unique_ptr<Stream> stream) {
  auto bytes = co_await stream->read_some();
  EXPECT_TRUE(bytes && bytes->empty());
}

TEST_F(StreamTest, AnIdleConnectionCostsLessThanFourKiB) {
  constexpr size_t kConnections = 1000;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 3000);
  ASSERT_GE(limit.rlim_cur, 2100u);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  std::vector<int> clients;
  for (size_t i = 0; i < kConnections; ++i) clients.push_back(::socket(AF_INET, SOCK_STREAM, 0));
  auto listener = UvListener::listen(loop_, "127.0.0.1:0", [&](std::unique_ptr<Stream> stream) {
    tasks_.spawn(hold_open(std::move(stream)));
  });
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons((*listener)->port());
  const size_t before = ::mallinfo2().uordblks;
  for (size_t i = 0; i < kConnections; ++i) {
    ASSERT_EQ(::connect(clients[i], reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
    while (tasks_.size() <= i) loop_.block_on(turns(loop_, 1));
  }
  loop_.block_on(turns(loop_, 10));
  const size_t each = (::mallinfo2().uordblks - before) / kConnections;
  RecordProperty("heap_bytes_per_idle_connection", static_cast<int>(each));
  std::printf("heap bytes per idle connection: %zu\n", each);
  if (!OUTRIGGER_TEST_ASAN) {
    EXPECT_GT(each, 0u);
    EXPECT_LT(each, 4096u);
  }
  for (const int client : clients) ::close(client);
  wait_for(loop_, tasks_);
}

}  // namespace
}  // namespace outrigger::net
