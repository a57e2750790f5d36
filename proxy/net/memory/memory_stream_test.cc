#include "proxy/net/memory/memory_stream.h"

#include <gtest/gtest.h>

#include "proxy/net/test_support.h"

namespace outrigger::net {
namespace {

using namespace testing;  // NOLINT: the verbs of this folder's tests
using Way = MemoryWire::Way;

class MemoryStreamTest : public ::testing::Test {
 protected:
  explicit MemoryStreamTest(size_t buffer_bytes = 100)
      : pair_(make_memory_pair(loop_, buffer_bytes)) {}

  void settle() { loop_.block_on(turns(loop_, 100)); }
  void start_write(Stream& to, std::string bytes) {
    tasks_.spawn(write_once(to, std::move(bytes), written_));
    settle();
  }
  void start_read(Stream& from) {
    read_ = {};
    tasks_.spawn(read_once(from, read_));
    settle();
  }

  Loop loop_;
  TaskGroup tasks_;
  MemoryPair pair_;
  WriteOutcome written_;
  ReadOutcome read_;
};

TEST_F(MemoryStreamTest, CarriesAPatternBothWays) {
  Status sent_one, sent_two;
  size_t got_one = 0, got_two = 0;
  tasks_.spawn(send_pattern(*pair_.first, 1'000'000, sent_one));
  tasks_.spawn(send_pattern(*pair_.second, 1'000'000, sent_two));
  tasks_.spawn(receive_pattern(*pair_.first, 1, got_one));
  tasks_.spawn(receive_pattern(*pair_.second, 0, got_two));
  wait_for(loop_, tasks_);
  EXPECT_EQ(got_one, 1'000'000u);
  EXPECT_EQ(got_two, 1'000'000u);
  EXPECT_LE(pair_.wire.bytes_in_flight_max(Way::kFirstToSecond), 100u);
}

TEST_F(MemoryStreamTest, AWriterWaitsForTheReader) {
  start_write(*pair_.first, pattern(0, 150));
  EXPECT_FALSE(written_.is_done);
  EXPECT_EQ(pair_.wire.bytes_in_flight(Way::kFirstToSecond), 100u);
  EXPECT_EQ(loop_.block_on(read_string(*pair_.second, 150)), pattern(0, 150));
  wait_for(loop_, tasks_);
  EXPECT_TRUE(written_.status);
}

TEST_F(MemoryStreamTest, ACorkHoldsBytesBackUntilItIsDrawn) {
  pair_.wire.cork(Way::kFirstToSecond);
  start_write(*pair_.first, "held");
  EXPECT_TRUE(written_.is_done);
  start_read(*pair_.second);
  EXPECT_FALSE(read_.is_done);
  pair_.wire.uncork(Way::kFirstToSecond);
  settle();
  EXPECT_EQ(read_.bytes, "held");
}

TEST_F(MemoryStreamTest, ChoppedReadsAreSmall) {
  pair_.wire.chop(Way::kFirstToSecond, 3);
  start_write(*pair_.first, "12345");
  start_read(*pair_.second);
  EXPECT_EQ(read_.bytes, "123");
  start_read(*pair_.second);
  EXPECT_EQ(read_.bytes, "45");
}

TEST_F(MemoryStreamTest, ACutFailsWhoeverWaitsAndWhoeverComes) {
  start_write(*pair_.first, pattern(0, 150));
  start_read(*pair_.first);
  pair_.wire.cut();
  wait_for(loop_, tasks_);
  EXPECT_FALSE(written_.status);
  EXPECT_FALSE(read_.status);
  start_read(*pair_.second);
  EXPECT_FALSE(read_.status);
  EXPECT_EQ(read_.bytes, "");
}

TEST_F(MemoryStreamTest, ClosingOneEndIsTheEndForTheOther) {
  start_write(*pair_.first, "last");
  pair_.first->close();
  start_read(*pair_.second);
  EXPECT_EQ(read_.bytes, "last");
  start_read(*pair_.second);
  EXPECT_TRUE(read_.status && read_.bytes.empty());
  start_write(*pair_.second, "x");
  EXPECT_FALSE(written_.status);
}

TEST_F(MemoryStreamTest, CloseResumesItsOwnReaderAndThePeersWriter) {
  start_read(*pair_.first);
  start_write(*pair_.second, "");
  tasks_.spawn(write_once(*pair_.first, pattern(0, 150), written_));
  pair_.second.reset();
  pair_.first.reset();
  wait_for(loop_, tasks_);
  ASSERT_FALSE(read_.status);
  EXPECT_EQ(read_.status.error().code, ErrorCode::kClosed);
  EXPECT_FALSE(written_.status);
}

TEST_F(MemoryStreamTest, AHalfClosedStreamStillReads) {
  Status sent;
  loop_.block_on(send_pattern(*pair_.first, 10, sent));
  size_t got = 0;
  loop_.block_on(receive_pattern(*pair_.second, 0, got));
  EXPECT_EQ(got, 10u);
  start_write(*pair_.second, "answer");
  start_read(*pair_.first);
  EXPECT_EQ(read_.bytes, "answer");
}

}  // namespace
}  // namespace outrigger::net
