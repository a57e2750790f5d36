// bench_null LISTEN_PORT BACKEND_PORT: the least a relay on libuv can do, as the yardstick of what
// a hop costs: one connection to the backend per client, every message framed by its length and
// passed on, nothing else. One loop, one read buffer, TCP_NODELAY, try_write first.
//
// With a third argument, DELAY_MS, it is a line between sites: whatever the bytes are, each way
// takes them so long. A line that is to be cut is stopped by SIGSTOP, and continued to be healed.
#include <uv.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>

namespace {

constexpr size_t kReadBufferBytes = 64 * 1024;
constexpr int kBacklog = 1024;

char read_buffer[kReadBufferBytes];
sockaddr_in backend_address;
uint64_t framed_messages = 0;
bool is_line = false;
uint64_t delay_ms = 0;

struct Pair;

struct Late {
  uint64_t due_ms;
  std::string bytes;
};

// One direction's source: bytes read here go to `other`.
struct Side {
  uv_tcp_t tcp;
  Pair* pair = nullptr;
  Side* other = nullptr;
  size_t left = 0;  // of the message under way
  char head[4];     // of a message whose length is not whole yet
  size_t head_bytes = 0;
  std::string waiting;  // until the backend is connected
  uv_timer_t timer;     // of a line only, like what it is for: what is under way to this side
  std::deque<Late> late;
};

struct Pair {
  Side client, backend;
  uv_connect_t connecting;
  bool connected = false;
  int open = 4;
};

void close_pair(Pair* pair) {
  for (Side* side : {&pair->client, &pair->backend}) {
    for (auto* handle : {reinterpret_cast<uv_handle_t*>(&side->tcp),
                         reinterpret_cast<uv_handle_t*>(&side->timer)}) {
      if (uv_is_closing(handle)) continue;
      uv_close(handle, [](uv_handle_t* closed) {
        Pair* owner = static_cast<Side*>(closed->data)->pair;
        if (--owner->open == 0) delete owner;
      });
    }
  }
}

// Follows the message borders through `bytes`; false for an impossible length.
bool frame(Side& side, const char* bytes, size_t count) {
  while (count > 0) {
    if (side.left == 0) {
      const size_t wanted = std::min(sizeof side.head - side.head_bytes, count);
      std::memcpy(side.head + side.head_bytes, bytes, wanted);
      side.head_bytes += wanted;
      bytes += wanted;
      count -= wanted;
      if (side.head_bytes < sizeof side.head) return true;
      int32_t length = 0;
      std::memcpy(&length, side.head, sizeof length);
      if (length < 16 || length > 48'000'000) return false;
      side.left = static_cast<size_t>(length) - sizeof side.head;
      side.head_bytes = 0;
      ++framed_messages;
    }
    const size_t step = std::min(side.left, count);
    side.left -= step;
    bytes += step;
    count -= step;
  }
  return true;
}

struct Queued {
  uv_write_t request;
  std::string bytes;
};

void pass_on(Side& to, const char* bytes, size_t count) {
  uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes), static_cast<unsigned>(count));
  auto* stream = reinterpret_cast<uv_stream_t*>(&to.tcp);
  const int written = uv_try_write(stream, &buffer, 1);
  if (written == static_cast<int>(count)) return;
  if (written < 0 && written != UV_EAGAIN) return close_pair(to.pair);
  const size_t done = written > 0 ? static_cast<size_t>(written) : 0;
  auto* queued = new Queued{{}, std::string(bytes + done, count - done)};
  queued->request.data = queued;
  buffer = uv_buf_init(queued->bytes.data(), static_cast<unsigned>(queued->bytes.size()));
  const auto on_written = [](uv_write_t* request, int) {
    delete static_cast<Queued*>(request->data);
  };
  if (uv_write(&queued->request, stream, &buffer, 1, on_written) != 0) {
    delete queued;
    close_pair(to.pair);
  }
}

void deliver(uv_timer_t* timer) {
  Side& to = *static_cast<Side*>(timer->data);
  const uint64_t now = uv_now(timer->loop);
  while (!to.late.empty() && to.late.front().due_ms <= now) {
    const std::string bytes = std::move(to.late.front().bytes);
    to.late.pop_front();
    pass_on(to, bytes.data(), bytes.size());
    if (uv_is_closing(reinterpret_cast<uv_handle_t*>(timer)) != 0) return;
  }
  if (!to.late.empty()) uv_timer_start(timer, deliver, to.late.front().due_ms - now, 0);
}

void pass_on_late(Side& to, const char* bytes, size_t count) {
  to.late.push_back({uv_now(to.timer.loop) + delay_ms, std::string(bytes, count)});
  if (to.late.size() == 1) uv_timer_start(&to.timer, deliver, delay_ms, 0);
}

void pass(Side& to, const char* bytes, size_t count) {
  if (delay_ms > 0) {
    pass_on_late(to, bytes, count);
  } else {
    pass_on(to, bytes, count);
  }
}

void allocate(uv_handle_t*, size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(read_buffer, sizeof read_buffer);
}

void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
  Side& side = *static_cast<Side*>(stream->data);
  if (count == 0) return;
  const auto size = static_cast<size_t>(std::max<ssize_t>(count, 0));
  if (count < 0) return close_pair(side.pair);
  if (!is_line && !frame(side, buffer->base, size)) return close_pair(side.pair);
  if (!side.pair->connected) {
    side.waiting.append(buffer->base, size);
  } else {
    pass(*side.other, buffer->base, size);
  }
}

void on_connected(uv_connect_t* request, int status) {
  Pair* pair = static_cast<Pair*>(request->data);
  if (status < 0) return close_pair(pair);
  pair->connected = true;
  uv_tcp_nodelay(&pair->backend.tcp, 1);
  uv_read_start(reinterpret_cast<uv_stream_t*>(&pair->backend.tcp), allocate, on_read);
  if (!pair->client.waiting.empty()) {
    pass(pair->backend, pair->client.waiting.data(), pair->client.waiting.size());
  }
}

void on_connection(uv_stream_t* listener, int status) {
  if (status < 0) return;
  auto* pair = new Pair;
  for (Side* side : {&pair->client, &pair->backend}) {
    uv_tcp_init(listener->loop, &side->tcp);
    side->tcp.data = side;
    uv_timer_init(listener->loop, &side->timer);
    side->timer.data = side;
    side->pair = pair;
    side->other = side == &pair->client ? &pair->backend : &pair->client;
  }
  auto* client = reinterpret_cast<uv_stream_t*>(&pair->client.tcp);
  if (uv_accept(listener, client) != 0) return close_pair(pair);
  uv_tcp_nodelay(&pair->client.tcp, 1);
  uv_read_start(client, allocate, on_read);
  pair->connecting.data = pair;
  uv_tcp_connect(&pair->connecting, &pair->backend.tcp,
                 reinterpret_cast<const sockaddr*>(&backend_address), on_connected);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: bench_null LISTEN_PORT BACKEND_PORT [DELAY_MS]\n");
    return 2;
  }
  if (argc == 4) {
    is_line = true;
    delay_ms = static_cast<uint64_t>(std::atoi(argv[3]));
  }
  std::signal(SIGPIPE, SIG_IGN);
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t listener;
  uv_tcp_init(loop, &listener);
  sockaddr_in address;
  uv_ip4_addr("127.0.0.1", std::atoi(argv[1]), &address);
  uv_ip4_addr("127.0.0.1", std::atoi(argv[2]), &backend_address);
  uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0);
  if (uv_listen(reinterpret_cast<uv_stream_t*>(&listener), kBacklog, on_connection) != 0) {
    std::fprintf(stderr, "bench_null: cannot listen on port %s\n", argv[1]);
    return 1;
  }
  return uv_run(loop, UV_RUN_DEFAULT);
}
