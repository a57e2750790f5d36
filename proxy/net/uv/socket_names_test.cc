#include "proxy/net/uv/socket_names.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace outrigger::net {
namespace {

namespace fs = std::filesystem;

class SocketDirTest : public ::testing::Test {
 protected:
  SocketDirTest() : data_dir_(fs::path(::testing::TempDir()) / std::to_string(::getpid())) {
    fs::create_directories(data_dir_);
  }
  ~SocketDirTest() override { fs::remove_all(data_dir_); }

  static std::string refused(const std::string& data_dir) {
    const auto made = make_socket_dir(data_dir);
    return made ? "" : made.error().message();
  }

  static void leave_socket(const std::string& path) {
    const sockaddr_un name = unix_name(path);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    ::close(fd);
  }

  fs::path data_dir_;
};

TEST_F(SocketDirTest, IsMadeAndEmptiedOfWhatAKilledProcessLeft) {
  const auto made = make_socket_dir(data_dir_);
  ASSERT_TRUE(made) << made.error().message();
  std::ofstream(fs::path(*made) / "somebody's") << "file";
  leave_socket(fs::path(*made) / "17");
  ASSERT_TRUE(make_socket_dir(data_dir_));
  EXPECT_FALSE(fs::exists(fs::path(*made) / "17"));
  EXPECT_TRUE(fs::exists(fs::path(*made) / "somebody's"));
}

TEST_F(SocketDirTest, IsNamedFromTheRoot) {
  const auto made = make_socket_dir(fs::relative(data_dir_));
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(fs::path(*made).is_absolute()) << *made;
}

TEST_F(SocketDirTest, WhatTheSystemOrMongodCannotNameIsRefusedWithAWayOut) {
  const std::string deep = data_dir_ / std::string(90, 'x');
  EXPECT_NE(refused(deep).find("longer than the system allows"), std::string::npos);
  EXPECT_NE(refused(data_dir_ / "a:b").find("colon"), std::string::npos);
  EXPECT_NE(refused(data_dir_ / "a:b").find("host and port in store.uri"), std::string::npos);
  EXPECT_NE(refused(data_dir_ / "a]b").find("bracket"), std::string::npos);
  EXPECT_NE(refused(data_dir_ / "missing"), "");
}

}  // namespace
}  // namespace outrigger::net
