// The port every byte passes: a two-way byte stream with back-pressure, over TCP, a Unix socket,
// TLS (tls.h) or memory (memory/memory_stream.h).
//
// The idea: awaiting is a plain object in the awaiting frame, never a heap allocation, so that a
// relay hop costs no memory; reading goes through one buffer a loop, so that an idle stream costs
// none either. A relay is
//   for (;;) {
//     auto bytes = co_await from.read_some();
//     if (!bytes || bytes->empty()) break;               // error, or orderly end
//     auto sent = co_await to.write(*bytes);             // suspends while `to` is slow
//     if (!sent) break;
//   }
//
// Borrowed bytes: what read_some() gives is valid until the next co_await or spawn. The one await
// it may be passed to directly is write(), on any stream of the same loop; bytes that cannot be
// written at once are then copied. Anything else must be copied first.
//
// Errors: kClosed (we or the other side closed, reset), kTimeout, kUnavailable, kIo. All of a
// stream belongs to its loop's thread.
#pragma once

#include <coroutine>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/result.h"
#include "proxy/net/loop.h"
#include "proxy/net/task.h"

namespace outrigger::net {

class Stream;

class [[nodiscard]] ReadAwaiter {
 public:
  explicit ReadAwaiter(Stream& stream) : stream_(stream) {}
  ReadAwaiter(const ReadAwaiter&) = delete;
  ReadAwaiter& operator=(const ReadAwaiter&) = delete;

  bool await_ready();
  void await_suspend(std::coroutine_handle<> waiting) noexcept { waiting_ = waiting; }
  Result<std::string_view> await_resume() { return std::move(result_); }

  // For implementations of Stream: set the result; resume now (from the top of the loop only) or
  // soon. The awaiter is gone when the coroutine runs on.
  void set(Result<std::string_view> result) { result_ = std::move(result); }
  void resume_now() { waiting_.resume(); }
  void resume_soon(Loop& loop) { loop.resume_soon(waiting_); }

 private:
  Stream& stream_;
  std::coroutine_handle<> waiting_;
  Result<std::string_view> result_;
};

class [[nodiscard]] WriteAwaiter {
 public:
  WriteAwaiter(Stream& stream, std::string_view bytes) : stream_(stream), one_(bytes) {}
  WriteAwaiter(Stream& stream, std::span<const std::string_view> pieces)
      : stream_(stream), many_(pieces), is_many_(true) {}
  WriteAwaiter(const WriteAwaiter&) = delete;
  WriteAwaiter& operator=(const WriteAwaiter&) = delete;

  bool await_ready();
  void await_suspend(std::coroutine_handle<> waiting) noexcept { waiting_ = waiting; }
  Status await_resume() { return std::move(result_); }

  // For implementations of Stream.
  [[nodiscard]] std::span<const std::string_view> pieces() const;
  // Copies what lies in the loop's read buffer, so that pieces() stays valid while suspended.
  void keep_borrowed(const Loop& loop);
  void set(Status result) { result_ = std::move(result); }
  void resume_now() { waiting_.resume(); }
  void resume_soon(Loop& loop) { loop.resume_soon(waiting_); }

 private:
  struct Kept {
    std::string bytes;
    std::vector<std::string_view> pieces;
  };
  Stream& stream_;
  std::string_view one_;
  std::span<const std::string_view> many_;
  bool is_many_ = false;
  std::unique_ptr<Kept> kept_;
  std::coroutine_handle<> waiting_;
  Status result_;
};

class [[nodiscard]] ShutdownAwaiter {
 public:
  explicit ShutdownAwaiter(Stream& stream) : stream_(stream) {}
  ShutdownAwaiter(const ShutdownAwaiter&) = delete;
  ShutdownAwaiter& operator=(const ShutdownAwaiter&) = delete;

  bool await_ready();
  void await_suspend(std::coroutine_handle<> waiting) noexcept { waiting_ = waiting; }
  Status await_resume() { return std::move(result_); }

  void set(Status result) { result_ = std::move(result); }
  void resume_now() { waiting_.resume(); }
  void resume_soon(Loop& loop) { loop.resume_soon(waiting_); }

 private:
  Stream& stream_;
  std::coroutine_handle<> waiting_;
  Status result_;
};

class Stream {
 public:
  explicit Stream(Loop& loop) : loop_(loop) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  // Closes. A reader or writer that still waits is resumed with kClosed; it must not touch the
  // stream again.
  virtual ~Stream() = default;

  // `Result<std::string_view> bytes = co_await stream.read_some();` Borrowed bytes (see above);
  // empty is the orderly end, and stays so. One reader at a time. While nobody reads, at most
  // limits::kUnreadBytesMax are taken from the network and kept.
  ReadAwaiter read_some() { return ReadAwaiter(*this); }
  // Gives the last bytes read back: the next read_some() starts with them (copied).
  void unread(std::string_view bytes);
  // Copies up to into.size() bytes; 0 is the orderly end. This and read_exactly are for handshakes
  // and tests: what they leave over is copied; a stream of messages belongs in a framer.
  Task<Result<size_t>> read(std::span<char> into);
  // Fills `into`; an end before that is kClosed. `into` lives in the caller until it is done.
  Task<Status> read_exactly(std::span<char> into);

  // `Status sent = co_await stream.write(bytes);` Returns when all bytes are with the kernel (or
  // in the memory stream's buffer): that is the back-pressure. The bytes, and for several pieces
  // the array of pieces too, must live until then. Writers are served in order. Name the array:
  //   std::array<std::string_view, 2> pieces = {header, body};
  //   Status sent = co_await stream.write(pieces);
  WriteAwaiter write(std::string_view bytes) { return WriteAwaiter(*this, bytes); }
  WriteAwaiter write(std::span<const std::string_view> pieces) {
    return WriteAwaiter(*this, pieces);
  }

  // Half close: after what was written the other side reads the end. Reading goes on.
  ShutdownAwaiter shutdown() { return ShutdownAwaiter(*this); }

  // Both directions, at once, idempotent; unsent bytes are dropped. Whoever waits on this stream
  // gets kClosed, soon rather than inside this call.
  virtual void close() = 0;
  [[nodiscard]] virtual bool is_open() const = 0;

  // "127.0.0.1:4711", "[::1]:4711", "unix:/path" or "memory"; stays after close.
  [[nodiscard]] virtual const std::string& peer_address() const = 0;
  // Whether the other side is on this machine.
  [[nodiscard]] virtual bool is_loopback() const = 0;
  // Our own end as the other side sees it, "127.0.0.1:41234"; empty where there is none.
  [[nodiscard]] virtual std::string local_address() const { return {}; }
  // Calls `hook` once, from the top of the loop, when the other side has ended or failed while
  // nobody was reading: the way to learn that a client left while its answer is being made. Dropped
  // by close().
  virtual void on_end(std::function<void()> hook) { static_cast<void>(hook); }
  // Bytes taken from the network (or given back) that nobody has read.
  [[nodiscard]] size_t unread_bytes() const { return kept_.size() + stored_bytes(); }

  [[nodiscard]] Loop& loop() const { return loop_; }

 protected:
  // True: the awaiter's result is set. False: the awaiter is kept, and resumed later with one.
  virtual bool start_read(ReadAwaiter& reader) = 0;
  virtual bool start_write(WriteAwaiter& writer) = 0;
  virtual bool start_shutdown(ShutdownAwaiter& waiter) = 0;
  [[nodiscard]] virtual size_t stored_bytes() const = 0;

 private:
  friend class ReadAwaiter;
  friend class WriteAwaiter;
  friend class ShutdownAwaiter;
  bool take_kept(ReadAwaiter& reader);

  Loop& loop_;
  std::string kept_;  // given back by unread()
  std::string lent_;  // what the last read_some() took from kept_
};

}  // namespace outrigger::net
