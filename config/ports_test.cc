// The ports of the world a process runs in: chance and threads.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "config/random.h"
#include "config/threads.h"

namespace outrigger {
namespace {

using std::chrono::milliseconds;

TEST(SystemRandom, FillsPiecesOfAnySizeAndNeverTheSame) {
  SystemRandom random;
  std::vector<uint8_t> large(1000, 0);
  random.fill(large);
  EXPECT_GT(std::set<uint8_t>(large.begin(), large.end()).size(), 100u);
  EXPECT_NE(random.number(), random.number());
}

TEST(SystemRandom, AUuidIsOfVersionFour) {
  SystemRandom random;
  for (int i = 0; i < 100; ++i) {
    const Uuid uuid = random.uuid();
    EXPECT_EQ(uuid[6] >> 4, 4);
    EXPECT_EQ(uuid[8] >> 6, 2);
  }
}

TEST(SeededRandom, TheSameSeedGivesTheSameNumbers) {
  SeededRandom one(5);
  SeededRandom same(5);
  SeededRandom other(6);
  const uint64_t first = one.number();
  EXPECT_EQ(first, same.number());
  EXPECT_NE(first, other.number());
  EXPECT_NE(first, one.number());
}

TEST(SystemThreads, AWaitEndsWhenItIsToldOrItsTimeHasCome) {
  SystemThreads threads;
  Mutex mutex;
  Condition told(threads);
  bool is_told = false;
  auto thread = threads.start([&] {
    const MutexLock lock(mutex);
    is_told = true;
    told.notify_one();
  });
  {
    const MutexLock lock(mutex);
    while (!is_told) told.wait(mutex);
    const Threads::TimePoint soon = threads.now() + milliseconds(5);
    while (told.wait_until(mutex, soon)) continue;  // it may wake for no reason
    EXPECT_GE(threads.now(), soon);
  }
  thread.reset();
}

TEST(Cores, AContainersQuotaBoundsThem) {
  EXPECT_EQ(cores_of_quota("200000 100000"), 2u);
  EXPECT_EQ(cores_of_quota("150000 100000"), 2u);
  EXPECT_EQ(cores_of_quota("1000 100000"), 1u);
  for (const char* none : {"max 100000", "", "7", "1 0", "0 1"}) {
    EXPECT_EQ(cores_of_quota(none), UINT32_MAX) << none;
  }
  EXPECT_GE(usable_cores(), 1u);
}

}  // namespace
}  // namespace outrigger
