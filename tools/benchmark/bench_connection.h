// A connection of bench_load, and what it sends over and over: one command, or those of a
// transaction, one after the other.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tools/benchmark/bench_message.h"

namespace outrigger::bench {

[[noreturn]] inline void die(const std::string& what) {
  std::fprintf(stderr, "bench_load: %s\n", what.c_str());
  std::exit(2);
}

// An open socket that does not block.
inline int dial(const std::string& target) {
  const size_t colon = target.rfind(':');
  if (colon == std::string::npos) die("--target: expected host:port");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(target.c_str() + colon + 1)));
  if (inet_pton(AF_INET, target.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    die("--target: expected an IPv4 address");
  }
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    die("connect to " + target + ": " + std::strerror(errno));
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

struct Connection {
  Connection(int file, Shape shape, int64_t index, int transaction) : fd(file), number(index) {
    for (int i = 0; i < std::max(transaction, 1); ++i) {
      if (transaction > 0) shape.part = i == 0 ? Part::kBegins : Part::kGoesOn;
      messages.emplace_back(shape);
    }
    shape.part = Part::kCommits;
    if (transaction > 0) messages.emplace_back(shape);
  }
  int fd;
  int64_t number;
  std::vector<Message> messages;  // one after the other; more than one: a transaction
  size_t at = 0;                  // of these, the one under way
  std::vector<std::pair<int64_t, int64_t>> written;  // document, value
  int64_t transactions = 0;
  size_t sent_bytes = 0;
  std::string reply;
  std::chrono::steady_clock::time_point started;
  bool busy = false;
};

}  // namespace outrigger::bench
