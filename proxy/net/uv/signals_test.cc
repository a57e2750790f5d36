#include "proxy/net/uv/signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace outrigger::net {
namespace {

TEST(SignalWatchTest, ASignalCallsBackOnTheLoop) {
  Loop loop;
  int seen = 0;
  SignalWatch watch(loop, {SIGTERM, SIGHUP}, [&](int signal) {
    seen = signal;
    loop.stop();
  });
  ::raise(SIGTERM);
  loop.run();
  EXPECT_EQ(seen, SIGTERM);
  ::raise(SIGHUP);
  loop.run();
  EXPECT_EQ(seen, SIGHUP);
}

}  // namespace
}  // namespace outrigger::net
