// bench_load: a load generator that speaks OP_MSG over epoll, on one thread, without a driver.
//
// Closed loop: each connection has one command under way, all the time. With `--rate` open loop:
// commands begin when the clock says, on any connection that is idle, and their latency counts from
// when they should have begun, so that a hop which stalls is charged for all who wait behind it.
//
// Every connection owns the documents whose number is congruent to its own, so that the last
// acknowledged value of each document is known exactly: `--state FILE` keeps these values over
// several runs (an array of int64, by document number) for whoever checks the collection later.
// Ends when every command sent is answered, so acknowledged is the same as sent.
//
// Prints one line of JSON; exit code 1 when a reply was an error, 2 for bad usage.
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>

#include "tools/benchmark/bench_connection.h"

namespace outrigger::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string target;
  std::string operation = "find";
  std::string ns = "bench.documents";
  std::string state_path;
  int connections = 1;
  double seconds = 1;
  double warmup = 0.3;
  double rate = 0;  // commands a second; 0: closed loop
  int64_t documents = 10'000;
  int64_t commands = 0;  // then it ends; 0: by time
  int transaction = 0;   // commands in one before it is committed; 0: there is none
  uint32_t seed = 1;
  int fields = Shape().fields;
  int document_bytes = 0;
  bool majority = false;
  bool journaled = false;
  bool retryable = false;
};

double cpu_us() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto us = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return us(used.ru_utime) + us(used.ru_stime);
}

class Load {
 public:
  explicit Load(Options options);
  int run();

 private:
  [[nodiscard]] int64_t any_document(const Connection& connection);
  void start(Connection& connection, Clock::time_point from);
  void send_next(Connection& connection);
  void start_due();
  void flush(Connection& connection);
  void receive(Connection& connection);
  void answered(Connection& connection);
  void wait(Clock::time_point until);
  [[nodiscard]] bool more_to_send() const;
  [[nodiscard]] bool is_counted() const {
    return operation_ == Operation::kLoad || options_.commands > 0;
  }
  [[nodiscard]] bool is_open_loop() const { return options_.rate > 0; }
  [[nodiscard]] Clock::duration until_due_or(Clock::time_point end) const;
  void print(double seconds, double cpu) const;

  const Options options_;
  const Operation operation_;
  size_t statements_ = 1;  // of a message
  const int epoll_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;  // open loop only
  Clock::time_point due_;          // when the next command should begin, likewise
  std::mt19937_64 random_;
  std::vector<int64_t> state_;  // last acknowledged value by document
  std::vector<uint32_t> latencies_us_;
  std::array<char, 256 * 1024> buffer_{};
  int64_t next_insert_ = 0;
  int64_t next_value_ = 0;
  int64_t begun_ = 0;  // commands
  uint64_t busy_ = 0;
  uint64_t acknowledged_ = 0;  // commands, warm-up included
  uint64_t errors_ = 0;
  bool measuring_ = false;
  bool stopping_ = false;
};

Load::Load(Options options)
    : options_(std::move(options)),
      operation_(parse_operation(options_.operation).value_or(Operation::kFind)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      random_(options_.seed),
      state_(static_cast<size_t>(options_.documents), 0) {
  // Numbers that no other run with another seed uses.
  next_value_ = static_cast<int64_t>(options_.seed) << 32;
  next_insert_ = operation_ == Operation::kLoad ? 0 : next_value_;
  latencies_us_.reserve(1 << 20);
  const size_t dot = options_.ns.find('.');
  Shape shape;
  shape.operation = operation_;
  shape.database = options_.ns.substr(0, dot);
  shape.collection = options_.ns.substr(dot + 1);
  shape.majority = options_.majority;
  shape.journaled = options_.journaled;
  shape.retryable = options_.retryable;
  shape.fields = options_.fields;
  shape.document_bytes = options_.document_bytes;
  statements_ = statements_of(shape);
  for (int i = 0; i < options_.connections; ++i) {
    shape.session = (static_cast<uint64_t>(options_.seed) << 32) + static_cast<uint64_t>(i);
    const int fd = dial(options_.target);
    connections_.push_back(std::make_unique<Connection>(fd, shape, i, options_.transaction));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = connections_.back().get();
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
  std::ifstream before(options_.state_path, std::ios::binary);
  before.read(reinterpret_cast<char*>(state_.data()),
              static_cast<std::streamsize>(state_.size() * sizeof(int64_t)));
}

bool Load::more_to_send() const {
  if (stopping_) return false;
  if (operation_ == Operation::kLoad) return next_insert_ < options_.documents;
  return options_.commands == 0 || begun_ < options_.commands;
}

int64_t Load::any_document(const Connection& connection) {
  const auto share = static_cast<uint64_t>(options_.documents / options_.connections);
  return static_cast<int64_t>(random_() % share) * options_.connections + connection.number;
}

void Load::start(Connection& connection, Clock::time_point from) {
  ++begun_;
  connection.busy = true;
  ++busy_;
  connection.started = from;
  connection.at = 0;
  connection.written.clear();
  ++connection.transactions;
  send_next(connection);
}

void Load::send_next(Connection& connection) {
  Message& message = connection.messages[connection.at];
  const int64_t id = inserts(operation_) ? next_insert_ : any_document(connection);
  if (inserts(operation_)) next_insert_ += static_cast<int64_t>(statements_);
  message.aim(id, ++next_value_);
  for (size_t i = 1; operation_ == Operation::kUpdateMany && i < statements_; ++i) {
    message.aim_statement(i, any_document(connection));
  }
  if (connection.messages.size() > 1) message.aim_transaction(connection.transactions);
  const bool is_commit = connection.at > 0 && connection.at + 1 == connection.messages.size();
  if (!is_commit) connection.written.emplace_back(id, next_value_);
  connection.sent_bytes = 0;
  flush(connection);
}

void Load::start_due() {
  const auto interval =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / options_.rate));
  while (more_to_send() && !idle_.empty() && due_ <= Clock::now()) {
    Connection& connection = *idle_.back();
    idle_.pop_back();
    start(connection, due_);
    due_ += interval;
  }
}

Clock::duration Load::until_due_or(Clock::time_point end) const {
  const bool waits = is_open_loop() && more_to_send() && !idle_.empty();
  const auto left = (waits ? std::min(due_, end) : end) - Clock::now();
  return std::clamp<Clock::duration>(left, Clock::duration::zero(), std::chrono::seconds(1));
}

void Load::flush(Connection& connection) {
  const std::string_view bytes = connection.messages[connection.at].bytes();
  const bool was_partial = connection.sent_bytes > 0;
  while (connection.sent_bytes < bytes.size()) {
    const ssize_t count = send(connection.fd, bytes.data() + connection.sent_bytes,
                               bytes.size() - connection.sent_bytes, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN) die(std::string("send: ") + std::strerror(errno));
    if (count < 0) break;
    connection.sent_bytes += static_cast<size_t>(count);
  }
  const bool is_partial = connection.sent_bytes < bytes.size();
  if (!is_partial && !was_partial) return;
  epoll_event event{};
  event.events = is_partial ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
}

void Load::receive(Connection& connection) {
  const ssize_t count = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) die("a connection was closed under way");
  connection.reply.append(buffer_.data(), static_cast<size_t>(count));
  int32_t length = 0;
  if (connection.reply.size() < sizeof length) return;
  std::memcpy(&length, connection.reply.data(), sizeof length);
  if (connection.reply.size() >= static_cast<size_t>(length)) answered(connection);
}

void Load::answered(Connection& connection) {
  const auto took = Clock::now() - connection.started;
  const size_t at = connection.at;
  const bool is_last = at + 1 == connection.messages.size();
  auto why = complaint(connection.reply, at > 0 && is_last ? 0 : statements_);
  if (!why && !is_last) {
    connection.reply.clear();
    ++connection.at;
    return send_next(connection);
  }
  if (why) {
    if (errors_++ < 3) std::fprintf(stderr, "bench_load: %s\n", why->c_str());
  } else {
    ++acknowledged_;
    if (measuring_) {
      latencies_us_.push_back(static_cast<uint32_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
    }
    for (const auto& [document, value] : connection.written) {
      if (updates(operation_)) state_[static_cast<size_t>(document)] = value;
    }
  }
  connection.reply.clear();
  connection.busy = false;
  --busy_;
  if (is_open_loop()) {
    idle_.push_back(&connection);
  } else if (more_to_send()) {
    start(connection, Clock::now());
  }
}

// Until then, or until nothing is under way.
void Load::wait(Clock::time_point until) {
  std::array<epoll_event, 64> events;
  Clock::time_point heard = Clock::now();
  while ((busy_ > 0 || (is_open_loop() && more_to_send())) && Clock::now() < until) {
    if (is_open_loop()) start_due();
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(until_due_or(until));
    const timespec timeout{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    const int count = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
    if (count > 0 || busy_ == 0) heard = Clock::now();
    if (Clock::now() - heard > std::chrono::seconds(30)) die("no answer for 30 s");
    for (int i = 0; i < count; ++i) {
      auto& connection = *static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr);
      if ((events[static_cast<size_t>(i)].events & EPOLLOUT) != 0) flush(connection);
      if ((events[static_cast<size_t>(i)].events & ~EPOLLOUT) != 0) receive(connection);
    }
  }
}

int Load::run() {
  const auto seconds = [](double value) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(value));
  };
  due_ = Clock::now();
  for (auto& connection : connections_) {
    if (is_open_loop()) {
      idle_.push_back(connection.get());
    } else if (more_to_send()) {
      start(*connection, Clock::now());
    }
  }
  wait(Clock::now() + seconds(is_counted() ? 0 : options_.warmup));
  measuring_ = true;
  const double cpu_before = cpu_us();
  const Clock::time_point begin = Clock::now();
  wait(begin + seconds(is_counted() ? 3600 : options_.seconds));
  const std::chrono::duration<double> took = Clock::now() - begin;
  const double cpu = cpu_us() - cpu_before;
  measuring_ = false;
  stopping_ = true;
  wait(Clock::now() + seconds(60));
  if (busy_ > 0) die("commands without an answer");
  print(took.count(), cpu);
  if (!options_.state_path.empty()) {
    std::ofstream after(options_.state_path, std::ios::binary);
    after.write(reinterpret_cast<const char*>(state_.data()),
                static_cast<std::streamsize>(state_.size() * sizeof(int64_t)));
  }
  return errors_ == 0 ? 0 : 1;
}

void Load::print(double seconds, double cpu) const {
  std::vector<uint32_t> sorted = latencies_us_;
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double share) {
    if (sorted.empty()) return 0u;
    return sorted[static_cast<size_t>(static_cast<double>(sorted.size() - 1) * share)];
  };
  const auto count = static_cast<double>(sorted.size());
  std::printf(
      "{\"operations\": %zu, \"acknowledged\": %llu, \"errors\": %llu, \"seconds\": %.4f, "
      "\"ops_per_s\": %.1f, \"p50_us\": %u, \"p99_us\": %u, \"p999_us\": %u, "
      "\"client_cpu_us_per_op\": %.2f}\n",
      sorted.size(), static_cast<unsigned long long>(acknowledged_),
      static_cast<unsigned long long>(errors_), seconds, count / seconds, at(0.5), at(0.99),
      at(0.999), count > 0 ? cpu / count : 0);
}

Options read_options(int argc, char** argv) {
  Options options;
  CLI::App app{"Load on a MongoDB, over raw sockets."};
  app.add_option("--target", options.target, "IPv4 host:port")->required();
  app.add_option("--operation", options.operation,
                 "find, insertOne, insertMany, updateById, updateMany, updateByField, "
                 "findAndModify, replaceById, pipelineById, or load: insert --documents of them "
                 "and end");
  app.add_option("--namespace", options.ns, "database.collection");
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 10'000));
  app.add_option("--seconds", options.seconds, "measured");
  app.add_option("--warmup", options.warmup, "seconds before that");
  app.add_option("--rate", options.rate, "commands a second, open loop")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--commands", options.commands, "so many and no more, however long that takes");
  app.add_option("--fields", options.fields, "of a document")->check(CLI::Range(3, 100'000));
  app.add_option("--document-bytes", options.document_bytes, "about; 0: of 12 ordinary fields")
      ->check(CLI::Range(0, 16'000'000));
  app.add_option("--documents", options.documents, "in the collection, for reads and updates");
  app.add_option("--seed", options.seed, "inserts of another seed never collide");
  app.add_option("--state", options.state_path, "keeps the last acknowledged value by document");
  app.add_option("--transaction", options.transaction, "so many commands in one, then its commit")
      ->check(CLI::Range(0, 1'000));
  app.add_flag("--majority", options.majority, "write concern majority instead of w:1");
  app.add_flag("--journaled", options.journaled, "j: true, and batches are unordered");
  app.add_flag("--retryable", options.retryable, "writes carry a txnNumber");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  if (!parse_operation(options.operation)) die("no operation '" + options.operation + "'");
  if (options.ns.find('.') == std::string::npos) die("--namespace: expected database.collection");
  if (options.documents < options.connections) die("--documents: fewer than connections");
  return options;
}

}  // namespace
}  // namespace outrigger::bench

int main(int argc, char** argv) {
  outrigger::bench::Load load(outrigger::bench::read_options(argc, argv));
  return load.run();
}
