#include "proxy/net/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "proxy/net/loop.h"
#include "proxy/net/test_support.h"

namespace outrigger::net {
namespace {

using testing::turns;

Task<int> seven() { co_return 7; }

Task<int> sum_of(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await seven();
  co_return sum;
}

Task<void> mark(bool& ran) {
  ran = true;
  co_return;
}

Task<void> wait_for_value(OneShot<std::string>& shot, std::string& got) {
  got = co_await shot.wait();
}

Task<void> wait_for_event(Event& event) { (void)co_await event.wait(); }

Task<void> count_wakes(Notify& notify, int& wakes) {
  for (;;) {
    co_await notify.wait();
    if (++wakes == 2) co_return;
  }
}

Task<void> wait_until_empty(TaskGroup& group, bool& emptied) {
  co_await group.until_empty();
  emptied = true;
}

Task<std::unique_ptr<int>> boxed(std::unique_ptr<int> box) { co_return box; }

TEST(Task, DoesNothingUntilAwaited) {
  bool ran = false;
  { Task<void> task = mark(ran); }
  EXPECT_FALSE(ran);
}

TEST(Task, AMillionAwaitsThatNeverSuspendKeepAFlatStack) {
  Loop loop;
  EXPECT_EQ(loop.block_on(sum_of(1'000'000)), 7'000'000);
}

TEST(Task, MovesWhatCannotBeCopied) {
  Loop loop;
  auto box = loop.block_on(boxed(std::make_unique<int>(5)));
  EXPECT_EQ(*box, 5);
}

TEST(TaskGroup, StartsATaskInSpawn) {
  bool ran = false;
  TaskGroup group;
  group.spawn(mark(ran));
  EXPECT_TRUE(ran);
  EXPECT_TRUE(group.empty());
}

TEST(TaskGroup, WakesItsWaiterWhenTheLastTaskEnds) {
  Loop loop;
  TaskGroup tasks;
  TaskGroup waiters;
  Event first(loop);
  Event second(loop);
  bool emptied = false;
  tasks.spawn(wait_for_event(first));
  tasks.spawn(wait_for_event(second));
  waiters.spawn(wait_until_empty(tasks, emptied));
  first.set();
  loop.block_on(turns(loop, 2));
  EXPECT_FALSE(emptied);
  EXPECT_EQ(tasks.size(), 1u);
  second.set();
  loop.block_on(turns(loop, 2));
  EXPECT_TRUE(emptied);
}

TEST(TaskGroupDeathTest, MustBeEmptyWhenItDies) {
  EXPECT_DEATH(
      {
        Loop loop;
        Event never(loop);
        TaskGroup group;
        group.spawn(wait_for_event(never));
      },
      "invariant broken");
}

TEST(OneShot, GivesAValueThatCameBeforeTheWait) {
  Loop loop;
  OneShot<std::string> shot(loop);
  std::string got;
  EXPECT_TRUE(shot.set("early"));
  loop.block_on(wait_for_value(shot, got));
  EXPECT_EQ(got, "early");
}

TEST(OneShot, ResumesTheWaiterAfterSetHasReturned) {
  Loop loop;
  OneShot<std::string> shot(loop);
  std::string got;
  TaskGroup tasks;
  tasks.spawn(wait_for_value(shot, got));
  shot.set("late");
  EXPECT_EQ(got, "");
  loop.block_on(turns(loop, 1));
  EXPECT_EQ(got, "late");
}

TEST(OneShot, KeepsTheFirstValue) {
  Loop loop;
  OneShot<std::string> shot(loop);
  std::string got;
  EXPECT_TRUE(shot.set("first"));
  EXPECT_FALSE(shot.set("second"));
  loop.block_on(wait_for_value(shot, got));
  EXPECT_EQ(got, "first");
}

TEST(Notify, ManySetsGiveOneWakeUp) {
  Loop loop;
  Notify notify(loop);
  int wakes = 0;
  TaskGroup tasks;
  tasks.spawn(count_wakes(notify, wakes));
  for (int i = 0; i < 3; ++i) notify.set();
  loop.block_on(turns(loop, 3));
  EXPECT_EQ(wakes, 1);
  notify.set();
  loop.block_on(turns(loop, 3));
  EXPECT_EQ(wakes, 2);
}

TEST(Notify, RemembersASetThatNobodyWaitedFor) {
  Loop loop;
  Notify notify(loop);
  int wakes = 1;
  notify.set();
  loop.block_on(count_wakes(notify, wakes));
  EXPECT_EQ(wakes, 2);
}

}  // namespace
}  // namespace outrigger::net
