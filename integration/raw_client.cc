#include "integration/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <utility>

namespace outrigger {
namespace {

constexpr int32_t kOpMsg = 2013;
constexpr size_t kHeaderBytes = 16;
constexpr size_t kBodyAt = 5;  // behind the flags and the kind of the section

void append(std::string& to, int32_t v) { to.append(reinterpret_cast<const char*>(&v), sizeof v); }

std::string random_bytes(size_t n) {
  std::random_device random;
  std::string bytes;
  while (bytes.size() < n) bytes.push_back(static_cast<char>(random()));
  return bytes;
}

void read_all(int fd, char* to, size_t n) {
  while (n > 0) {
    const ssize_t got = read(fd, to, n);
    OUTRIGGER_ASSERT(got > 0);
    to += got;
    n -= static_cast<size_t>(got);
  }
}

}  // namespace

RawClient::RawClient(uint16_t port, std::string database)
    : database_(std::move(database)), lsid_id_(random_bytes(16)) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  OUTRIGGER_ASSERT(connect(fd_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  OUTRIGGER_ASSERT(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  own_port_ = ntohs(address.sin_port);
}

void RawClient::send(bson::Writer command, bool with_session) {
  constexpr uint8_t kUuid = 4;
  if (with_session) command.open_document("lsid").binary("id", kUuid, lsid_id_).close();
  if (txn_number_ >= 0) command.int64("txnNumber", txn_number_).boolean("autocommit", false);
  if (first_in_transaction_) command.boolean("startTransaction", true);
  first_in_transaction_ = false;
  const std::string body = command.string("$db", database_).finish();
  std::string message;
  append(message, static_cast<int32_t>(kHeaderBytes + kBodyAt + body.size()));
  for (const int32_t v : {1, 0, kOpMsg, 0}) append(message, v);
  message += '\0';
  message += body;
  for (size_t sent = 0; sent < message.size();) {
    const ssize_t n = write(fd_, message.data() + sent, message.size() - sent);
    OUTRIGGER_ASSERT(n > 0);
    sent += static_cast<size_t>(n);
  }
}

std::string RawClient::receive() {
  std::string header(kHeaderBytes, '\0');
  read_all(fd_, header.data(), header.size());
  int32_t length = 0;
  std::memcpy(&length, header.data(), sizeof length);
  std::string rest(static_cast<size_t>(length) - kHeaderBytes, '\0');
  read_all(fd_, rest.data(), rest.size());
  return rest.substr(kBodyAt);
}

std::string RawClient::ask(bson::Writer command) {
  send(std::move(command));
  return receive();
}

std::string RawClient::call(bson::Writer command) {
  std::string reply = ask(std::move(command));
  const auto ok = bson::Document(reply).find("ok");
  if (!ok || !ok->truthy()) {
    std::fprintf(stderr, "mongod says no: %s\n", to_json(bson::Document(reply)).c_str());
    std::abort();
  }
  return reply;
}

void RawClient::begin_transaction(int64_t txn_number) {
  txn_number_ = txn_number;
  first_in_transaction_ = true;
}

void RawClient::commit() {
  const std::string database = std::exchange(database_, "admin");
  (void)call(bson::Writer().int32("commitTransaction", 1));
  database_ = database;
  txn_number_ = -1;
}

void RawClient::vanish() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

std::string RawClient::address() const { return "127.0.0.1:" + std::to_string(own_port_); }

}  // namespace outrigger
