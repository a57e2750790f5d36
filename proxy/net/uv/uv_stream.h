// A Stream on a connected TCP or Unix socket. Private to proxy/net/uv: others get one from a
// Network or its Listener.
//
// The handle lives apart from the stream (`Core`), since libuv goes on using it until its close
// callback; that callback frees it. Reading is started once and stays on, because starting and
// stopping it around every await costs two epoll_ctl a read; it is stopped only when nobody has
// taken limits::kUnreadBytesMax.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <string>

#include "proxy/net/stream.h"

namespace outrigger::net {

// What libuv's status means to a caller. `status` < 0.
[[nodiscard]] Error uv_error(int status, std::string step, std::string object);

class UvStream final : public Stream {
 public:
  struct Core {
    explicit Core(Loop& owner, bool is_unix);
    void close();  // frees the core, later
    uv_stream_t* stream() { return &handle.stream; }

    union {
      uv_handle_t any;
      uv_stream_t stream;
      uv_tcp_t tcp;
      uv_pipe_t pipe;
    } handle;
    Loop& loop;
    std::string peer;  // for error texts
    const bool is_unix;
    bool is_reading = false;
    bool is_closed = false;
    int end = 0;  // UV_EOF or an error, once reading has ended
    ReadAwaiter* reader = nullptr;
    std::string unread;  // came while nobody was reading
    std::string lent;    // what the last read was given of it
    std::function<void()> end_hook;
  };

  // Takes over a core whose socket is connected. `peer` is used for Unix sockets; for TCP the
  // kernel is asked.
  UvStream(Core* core, std::string peer);
  // Takes over `fd`, a connected socket; it is closed on failure too.
  static Result<std::unique_ptr<Stream>> adopt(Loop& loop, int fd, bool is_unix, std::string peer);
  ~UvStream() override;

  void close() override;
  [[nodiscard]] bool is_open() const override { return core_ != nullptr; }
  [[nodiscard]] const std::string& peer_address() const override { return peer_; }
  [[nodiscard]] bool is_loopback() const override { return is_loopback_; }
  [[nodiscard]] std::string local_address() const override;
  void on_end(std::function<void()> hook) override;

 protected:
  bool start_read(ReadAwaiter& reader) override;
  bool start_write(WriteAwaiter& writer) override;
  bool start_shutdown(ShutdownAwaiter& waiter) override;
  [[nodiscard]] size_t stored_bytes() const override { return core_ ? core_->unread.size() : 0; }

 private:
  [[nodiscard]] Error closed_here(const char* step) const;
  [[nodiscard]] bool start_queued_write(WriteAwaiter& writer, size_t written_bytes);

  Core* core_;  // null once closed
  std::string peer_;
  bool is_loopback_ = true;
};

}  // namespace outrigger::net
