#include "proxy/net/uv/uv_listener.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <vector>

#include "proxy/net/uv/uv_test_support.h"

namespace outrigger::net {
namespace {

using namespace testing;  // NOLINT: the verbs of this folder's tests

Task<void> serve(std::unique_ptr<Stream> stream) { co_await echo(*stream); }

// While this lives the process has no file descriptor left.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::dup(0);
    ::close(next);
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(next);
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

class ListenerTest : public ::testing::Test {
 protected:
  ~ListenerTest() override {
    for (const int client : clients_) ::close(client);
    listener_.reset();
    wait_for(loop_, tasks_);
  }

  void listen_and_echo(const std::string& address = "127.0.0.1:0") {
    auto listener = UvListener::listen(loop_, address, [this](std::unique_ptr<Stream> stream) {
      tasks_.spawn(serve(std::move(stream)));
    });
    ASSERT_TRUE(listener) << listener.error().message();
    listener_ = std::move(*listener);
  }

  // Sockets are made early so that dialling needs no new descriptor.
  void prepare_clients(int count) {
    for (int i = 0; i < count; ++i) clients_.push_back(::socket(AF_INET, SOCK_STREAM, 0));
  }
  void dial(int client) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons(listener_->port());
    ASSERT_EQ(::connect(clients_[client], reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  }
  // Whether the other side closed without sending anything.
  bool is_dropped(int client) {
    char byte = 0;
    const ssize_t count = ::recv(clients_[client], &byte, 1, MSG_DONTWAIT);
    return count == 0 || (count < 0 && errno != EAGAIN);
  }
  bool echoes(int client) {
    char byte = 'e';
    if (::send(clients_[client], &byte, 1, 0) != 1) return false;
    turn_until([&] { return ::recv(clients_[client], &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0; });
    return ::recv(clients_[client], &byte, 1, 0) == 1 && byte == 'e';
  }
  template <typename Condition>
  void turn_until(Condition condition) {
    while (!condition()) loop_.block_on(turns(loop_, 20));
  }

  Loop loop_;
  TaskGroup tasks_;
  std::unique_ptr<UvListener> listener_;
  std::vector<int> clients_;
};

TEST_F(ListenerTest, TellsTheRealPort) {
  listen_and_echo();
  EXPECT_NE(listener_->port(), 0);
  EXPECT_EQ(listener_->address(), "127.0.0.1:" + std::to_string(listener_->port()));
  prepare_clients(1);
  dial(0);
  EXPECT_TRUE(echoes(0));
}

TEST_F(ListenerTest, AnAddressInUseIsAnErrorThatNamesItAndSaysWhatToDo) {
  listen_and_echo();
  const auto second = UvListener::listen(loop_, listener_->address(), [](auto) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(second.error().object, listener_->address());
  EXPECT_NE(second.error().reason.find("in use"), std::string::npos);
  EXPECT_NE(second.error().hint.find("choose another address"), std::string::npos);
}

TEST_F(ListenerTest, AnAddressOfAnotherMachineIsAnError) {
  const auto listener = UvListener::listen(loop_, "192.0.2.1:0", [](auto) {});
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().object, "192.0.2.1:0");
  EXPECT_NE(listener.error().hint.find("does not have"), std::string::npos);
}

TEST_F(ListenerTest, WhatIsNotOpenedIsClosedWithoutTroublingTheOthers) {
  auto listener = UvListener::listen_for_arrivals(
      loop_, "127.0.0.1:0", [this](std::unique_ptr<Arrival> arrival) {
        if (tasks_.size() < 2) tasks_.spawn(serve(std::move(*arrival->open(loop_))));
      });
  ASSERT_TRUE(listener) << listener.error().message();
  listener_ = std::move(*listener);
  prepare_clients(3);
  for (int i = 0; i < 3; ++i) dial(i);
  turn_until([this] { return listener_->accepted() == 3; });
  EXPECT_TRUE(is_dropped(2));
  EXPECT_TRUE(echoes(0));
}

TEST_F(ListenerTest, CloseStopsAcceptingAndKeepsConnections) {
  listen_and_echo();
  prepare_clients(1);
  dial(0);
  turn_until([this] { return listener_->accepted() == 1; });
  const uint16_t port = listener_->port();
  listener_->close();
  listener_->close();
  EXPECT_TRUE(echoes(0));
  EXPECT_FALSE(dial_to(loop_, "127.0.0.1:" + std::to_string(port)));
}

TEST_F(ListenerTest, TheHandlerMayDestroyTheListener) {
  std::unique_ptr<UvListener> listener;
  auto made = UvListener::listen(loop_, "127.0.0.1:0", [&](auto) { listener.reset(); });
  listener = std::move(*made);
  const std::string address = listener->address();
  const auto stream = dial_to(loop_, address);
  turn_until([&] { return listener == nullptr; });
}

TEST_F(ListenerTest, OutOfDescriptorsItShedsPausesAndDisturbsNobody) {
  listen_and_echo();
  listener_->set_pause_ms(3'600'000);
  prepare_clients(4);
  dial(0);
  EXPECT_TRUE(echoes(0));
  const NoDescriptors none;
  for (int i = 1; i < 4; ++i) dial(i);
  turn_until([this] { return listener_->pauses() == 1; });
  EXPECT_EQ(listener_->shed(), 3u);
  for (int i = 1; i < 4; ++i) EXPECT_TRUE(is_dropped(i));
  EXPECT_TRUE(echoes(0));
  loop_.block_on(turns(loop_, 1000));
  EXPECT_EQ(listener_->pauses(), 1u);  // resting, not spinning
}

TEST_F(ListenerTest, AcceptsAgainAfterThePause) {
  listen_and_echo();
  listener_->set_pause_ms(1);
  prepare_clients(2);
  {
    const NoDescriptors none;
    dial(0);
    turn_until([this] { return listener_->pauses() >= 1; });
  }
  dial(1);
  EXPECT_TRUE(echoes(1));
}

class UnixListenerTest : public ListenerTest {
 protected:
  UnixListenerTest() { path_ = ::testing::TempDir() + "outrigger-" + std::to_string(::getpid()); }
  ~UnixListenerTest() override { ::unlink(path_.c_str()); }
  [[nodiscard]] std::string address() const { return "unix:" + path_; }
  [[nodiscard]] bool file_exists() const { return ::access(path_.c_str(), F_OK) == 0; }

  std::string path_;
};

TEST_F(UnixListenerTest, CarriesBytesBothWaysAndCountsAsLoopback) {
  auto pair = connected_pair(loop_, address());
  WriteOutcome written;
  loop_.block_on(write_once(*pair.near, "ping", written));
  EXPECT_EQ(loop_.block_on(read_string(*pair.far, 4)), "ping");
  loop_.block_on(write_once(*pair.far, "pong", written));
  EXPECT_EQ(loop_.block_on(read_string(*pair.near, 4)), "pong");
  EXPECT_TRUE(pair.near->is_loopback() && pair.far->is_loopback());
  EXPECT_EQ(pair.near->peer_address(), address());
}

TEST_F(UnixListenerTest, SeesTheNameAClientTookWhoseFileIsGoneAtOnce) {
  const std::string dir = path_ + ".names";
  ASSERT_EQ(::mkdir(dir.c_str(), 0700), 0);
  listen_and_echo(address());
  auto first = dial_to(loop_, address(), kTimeoutMs, dir);
  auto second = dial_to(loop_, address(), kTimeoutMs, dir);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE((*first)->local_address().starts_with(dir + "/")) << (*first)->local_address();
  EXPECT_NE((*first)->local_address(), (*second)->local_address());
  EXPECT_EQ(::rmdir(dir.c_str()), 0) << "a name was left";
  EXPECT_TRUE(dial_to(loop_, address(), kTimeoutMs, dir)) << "nor remade";
  EXPECT_EQ(::rmdir(dir.c_str()), 0);
  WriteOutcome written;
  loop_.block_on(write_once(**first, "ping", written));
  EXPECT_EQ(loop_.block_on(read_string(**first, 4)), "ping");
}

TEST_F(UnixListenerTest, AFolderThatIsNotThereIsNamed) {
  listen_and_echo(address());
  const auto dialled = dial_to(loop_, address(), kTimeoutMs, "/nowhere/at/all");
  ASSERT_FALSE(dialled);
  EXPECT_NE(dialled.error().message().find("/nowhere/at/all/"), std::string::npos);
}

TEST_F(UnixListenerTest, RemovesItsFile) {
  listen_and_echo(address());
  EXPECT_TRUE(file_exists());
  listener_->close();
  EXPECT_FALSE(file_exists());
}

TEST_F(UnixListenerTest, ReplacesAFileNobodyListensOnAndRefusesOneInUse) {
  const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path_.copy(name.sun_path, sizeof name.sun_path - 1);
  ASSERT_EQ(::bind(stale, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  ::close(stale);
  ASSERT_TRUE(file_exists());
  listen_and_echo(address());
  const auto second = UvListener::listen(loop_, address(), [](auto) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().object, address());
}

TEST_F(UnixListenerTest, LetsInWhomItsModeSaysWhateverTheMaskOfTheProcess) {
  const auto mode_of_its_file = [this] {
    struct stat file {};
    EXPECT_EQ(::stat(path_.c_str(), &file), 0);
    return file.st_mode & 0777;
  };
  const mode_t mask = ::umask(0077);
  listen_and_echo(address());
  EXPECT_EQ(mode_of_its_file(), 0700u);
  listener_->close();
  const auto ignore = [](std::unique_ptr<Arrival>) {};
  const auto wide = UvListener::listen_for_arrivals(loop_, address(), ignore, 0770);
  ::umask(mask);
  ASSERT_TRUE(wide);
  EXPECT_EQ(mode_of_its_file(), 0770u);
}

TEST_F(UnixListenerTest, LeavesAFileThatIsNotItsOwn) {
  listen_and_echo(address());
  ::unlink(path_.c_str());
  const auto other = UvListener::listen(loop_, address(), [](auto) {});
  ASSERT_TRUE(other);
  listener_->close();
  EXPECT_TRUE(file_exists());
  EXPECT_TRUE(dial_to(loop_, address()));
}

TEST_F(UnixListenerTest, APathThatIsNoSocketIsLeftAndNamed) {
  std::ofstream(path_) << "notes";
  const auto refused = UvListener::listen(loop_, address(), [](auto) {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().object, address());
  EXPECT_NE(refused.error().hint.find("is no socket"), std::string::npos);
  EXPECT_TRUE(file_exists());
}

TEST_F(UnixListenerTest, ConnectingToNobodyNamesThePath) {
  auto stream = dial_to(loop_, address());
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(stream.error().object, address());
}

}  // namespace
}  // namespace outrigger::net
