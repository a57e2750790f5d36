#include "proxy/net/memory/memory_stream.h"

#include <algorithm>
#include <array>
#include <deque>
#include <limits>

namespace outrigger::net {

namespace {

const std::string kPeer = "memory";

Error memory_error(const char* step, std::string reason) {
  return Error{ErrorCode::kClosed, step, kPeer, std::move(reason), {}};
}

// One direction. Bytes wait in `buffer`, writers that did not fit wait in `writers`.
struct Pipe {
  struct Waiting {
    WriteAwaiter* writer;
    size_t piece = 0;   // of writer->pieces()
    size_t offset = 0;  // into that piece
  };

  std::string buffer;
  std::string lent;  // what the reader was given last
  std::deque<Waiting> writers;
  std::deque<ShutdownAwaiter*> shutdowns;
  ReadAwaiter* reader = nullptr;
  size_t buffer_bytes_max = 0;
  size_t read_bytes_max = std::numeric_limits<size_t>::max();
  size_t in_flight_max = 0;
  bool is_corked = false;
  bool has_ended = false;       // the writing end shut down or closed
  bool reader_is_gone = false;  // the reading end closed

  // Moves what fits from the first writer; true when all of it is in the buffer.
  bool fill_from(Waiting& waiting) {
    const auto pieces = waiting.writer->pieces();
    while (waiting.piece < pieces.size()) {
      const auto rest = pieces[waiting.piece].substr(waiting.offset);
      const size_t count = std::min(rest.size(), buffer_bytes_max - buffer.size());
      buffer.append(rest.substr(0, count));
      in_flight_max = std::max(in_flight_max, buffer.size());
      waiting.offset += count;
      if (count < rest.size()) return false;
      ++waiting.piece;
      waiting.offset = 0;
    }
    return true;
  }

  // What a read may have now; false: it has to wait.
  bool give(ReadAwaiter& to) {
    if (is_corked) return false;
    if (buffer.empty()) {
      if (!has_ended || !writers.empty()) return false;
      to.set(std::string_view());
      return true;
    }
    lent = buffer.substr(0, read_bytes_max);
    buffer.erase(0, lent.size());
    to.set(std::string_view(lent));
    return true;
  }
};

size_t index_of(MemoryWire::Way way) { return way == MemoryWire::Way::kFirstToSecond ? 0 : 1; }

}  // namespace

// An end is a side: 0 writes into pipes[0] and reads from pipes[1]. Side 1 may be on another loop,
// which may be gone once that end has closed; then all that is left is of side 0's.
struct MemoryWire::State : std::enable_shared_from_this<MemoryWire::State> {
  explicit State(Loop& owner) : loops{&owner, &owner} {}

  [[nodiscard]] bool is_on_one_loop() const { return loops[0] == loops[1]; }

  // Everything waiting is moved on from the top of the loop, like a socket's events.
  void schedule() {
    if (is_on_one_loop()) return schedule(0);
    schedule(0);
    schedule(1);
  }

  void schedule(size_t side) {
    if (std::exchange(is_scheduled[side], true)) return;
    loops[side]->post([self = shared_from_this(), side] {
      self->is_scheduled[side] = false;
      if (!self->is_on_one_loop()) return self->move_side(side);
      if (side == 1) return self->schedule(0);  // its end has closed meanwhile
      self->move(self->pipes[0]);
      self->move(self->pipes[1]);
      self->tell_end(0);
      self->tell_end(1);
    });
  }

  // What one end waits for; what the other does is done on that one's loop.
  void move_side(size_t side) {
    Pipe& out = pipes[side];
    const size_t before = out.buffer.size();
    const bool had_ended = out.has_ended;
    move_writers(out, side);
    if (out.buffer.size() != before || out.has_ended != had_ended) schedule(1 - side);
    Pipe& in = pipes[1 - side];
    if (in.reader != nullptr && in.give(*in.reader)) {
      schedule(1 - side);
      std::exchange(in.reader, nullptr)->resume_now();
    }
    tell_end(side);
  }

  void resume(auto& awaiter, size_t side) {
    if (is_on_one_loop()) return awaiter.resume_soon(*loops[side]);
    loops[side]->post([waiting = &awaiter] { waiting->resume_now(); });
  }

  // The end `side` hears that the other one has ended, when it is not reading.
  void tell_end(size_t side) {
    const Pipe& in = pipes[1 - side];
    if (in.reader != nullptr || !(in.has_ended || is_cut)) return;
    const std::function<void()> hook = std::exchange(end_hooks[side], nullptr);
    if (hook) hook();
  }

  [[nodiscard]] size_t writer_of(const Pipe& pipe) const { return &pipe == &pipes[0] ? 0 : 1; }

  void move_writers(Pipe& pipe, size_t side) {
    while (!pipe.writers.empty() && pipe.fill_from(pipe.writers.front())) {
      resume(*pipe.writers.front().writer, side);
      pipe.writers.pop_front();
    }
    if (!pipe.writers.empty()) return;
    for (auto* waiter : std::exchange(pipe.shutdowns, {})) {
      pipe.has_ended = true;
      resume(*waiter, side);
    }
  }

  void move(Pipe& pipe) {
    move_writers(pipe, writer_of(pipe));
    if (pipe.reader == nullptr || !pipe.give(*pipe.reader)) return;
    if (!pipe.writers.empty()) schedule();
    std::exchange(pipe.reader, nullptr)->resume_now();
  }

  void fail_reader(Pipe& pipe, const std::string& reason) {
    if (pipe.reader == nullptr) return;
    pipe.reader->set(tl::unexpected<Error>(memory_error("read", reason)));
    resume(*std::exchange(pipe.reader, nullptr), 1 - writer_of(pipe));
  }

  void fail_writers(Pipe& pipe, const std::string& reason) {
    for (const auto& waiting : std::exchange(pipe.writers, {})) {
      waiting.writer->set(tl::unexpected<Error>(memory_error("write", reason)));
      resume(*waiting.writer, writer_of(pipe));
    }
    for (auto* waiter : std::exchange(pipe.shutdowns, {})) {
      waiter->set(tl::unexpected<Error>(memory_error("shutdown", reason)));
      resume(*waiter, writer_of(pipe));
    }
  }

  std::array<Loop*, 2> loops;
  std::array<Pipe, 2> pipes;
  std::array<std::function<void()>, 2> end_hooks;  // of the end that writes into the pipe
  bool is_cut = false;
  std::array<bool, 2> is_scheduled{};
};

namespace {

class MemoryStream final : public Stream {
 public:
  MemoryStream(std::shared_ptr<MemoryWire::State> state, size_t side, std::string local,
               std::string peer, bool is_loopback)
      : Stream(*state->loops[side]),
        state_(std::move(state)),
        side_(side),
        local_(std::move(local)),
        peer_(std::move(peer)),
        is_loopback_(is_loopback) {}
  ~MemoryStream() override { MemoryStream::close(); }

  void close() override {
    if (is_closed_) return;
    is_closed_ = true;
    const std::string here = "the stream was closed on this side";
    state_->fail_reader(in(), here);
    state_->fail_writers(out(), here);
    state_->fail_writers(in(), "the other side closed");
    in().reader_is_gone = true;
    out().has_ended = true;
    state_->end_hooks[side_] = nullptr;
    if (side_ == 1) state_->loops[1] = state_->loops[0];
    state_->schedule();
  }
  [[nodiscard]] bool is_open() const override { return !is_closed_; }
  [[nodiscard]] const std::string& peer_address() const override { return peer_; }
  [[nodiscard]] bool is_loopback() const override { return is_loopback_; }
  [[nodiscard]] std::string local_address() const override { return local_; }
  void on_end(std::function<void()> hook) override {
    if (!is_closed_) state_->end_hooks[side_] = std::move(hook);
  }

 protected:
  bool start_read(ReadAwaiter& reader) override {
    OUTRIGGER_ASSERT(in().reader == nullptr);
    const char* reason = broken(false);
    if (reason != nullptr) {
      reader.set(tl::unexpected<Error>(memory_error("read", reason)));
      return true;
    }
    if (!in().writers.empty()) state_->schedule();
    if (in().give(reader)) return true;
    in().reader = &reader;
    return false;
  }

  bool start_write(WriteAwaiter& writer) override {
    const char* reason = broken(true);
    if (reason != nullptr) {
      writer.set(tl::unexpected<Error>(memory_error("write", reason)));
      return true;
    }
    state_->schedule();
    Pipe::Waiting waiting{&writer};
    if (out().writers.empty() && out().fill_from(waiting)) return true;
    writer.keep_borrowed(loop());
    out().writers.push_back(waiting);
    return false;
  }

  bool start_shutdown(ShutdownAwaiter& waiter) override {
    const char* reason = broken(true);
    if (reason != nullptr) {
      waiter.set(tl::unexpected<Error>(memory_error("shutdown", reason)));
      return true;
    }
    out().shutdowns.push_back(&waiter);
    state_->schedule();
    return false;
  }

  // What is in the buffer is still "on the wire", as with a socket nobody has read from.
  [[nodiscard]] size_t stored_bytes() const override { return 0; }

 private:
  Pipe& in() { return state_->pipes[1 - side_]; }
  Pipe& out() { return state_->pipes[side_]; }

  // Why this end cannot be used for reading or writing, or null.
  const char* broken(bool for_writing) {
    if (is_closed_) return "the stream was closed on this side";
    if (state_->is_cut) return "connection reset";
    if (for_writing && out().reader_is_gone) return "the other side closed";
    if (for_writing && (out().has_ended || !out().shutdowns.empty())) return "after shutdown";
    return nullptr;
  }

  std::shared_ptr<MemoryWire::State> state_;
  const size_t side_;
  const std::string local_;
  const std::string peer_;
  const bool is_loopback_;
  bool is_closed_ = false;
};

class MemoryArrival final : public Arrival {
 public:
  MemoryArrival(std::shared_ptr<MemoryWire::State> state, size_t side, std::string local,
                std::string peer, bool is_loopback)
      : state_(std::move(state)),
        side_(side),
        local_(std::move(local)),
        peer_(std::move(peer)),
        is_loopback_(is_loopback) {}
  ~MemoryArrival() override {
    if (state_) (void)open(*state_->loops[side_]);
  }

  Result<std::unique_ptr<Stream>> open(Loop& loop) override {
    state_->loops[side_] = &loop;
    state_->schedule();  // what was on its way may have to go on elsewhere
    return std::make_unique<MemoryStream>(std::move(state_), side_, std::move(local_),
                                          std::move(peer_), is_loopback_);
  }

 private:
  std::shared_ptr<MemoryWire::State> state_;  // none: it was opened
  const size_t side_;
  std::string local_;
  std::string peer_;
  const bool is_loopback_;
};

}  // namespace

void MemoryWire::cork(Way way) { state_->pipes[index_of(way)].is_corked = true; }

void MemoryWire::uncork(Way way) {
  state_->pipes[index_of(way)].is_corked = false;
  state_->schedule();
}

void MemoryWire::chop(Way way, size_t read_bytes_max) {
  OUTRIGGER_ASSERT(read_bytes_max > 0);
  state_->pipes[index_of(way)].read_bytes_max = read_bytes_max;
}

void MemoryWire::corrupt(Way way) {
  std::string& buffer = state_->pipes[index_of(way)].buffer;
  OUTRIGGER_ASSERT(!buffer.empty());
  buffer.back() = static_cast<char>(buffer.back() ^ 1);
}

void MemoryWire::hang_up(Way way) {
  state_->pipes[index_of(way)].has_ended = true;
  state_->schedule();
}

void MemoryWire::cut() {
  state_->is_cut = true;
  for (Pipe& pipe : state_->pipes) {
    pipe.buffer.clear();
    state_->fail_reader(pipe, "connection reset");
    state_->fail_writers(pipe, "connection reset");
  }
  state_->schedule();
}

size_t MemoryWire::bytes_in_flight(Way way) const {
  return state_->pipes[index_of(way)].buffer.size();
}

size_t MemoryWire::bytes_in_flight_max(Way way) const {
  return state_->pipes[index_of(way)].in_flight_max;
}

MemoryPair make_memory_pair(Loop& loop, size_t buffer_bytes, MemoryNames names) {
  MemoryHalf half = make_memory_half(loop, buffer_bytes, std::move(names));
  return MemoryPair{std::move(half.first), std::move(*half.second->open(loop)),
                    std::move(half.wire)};
}

MemoryHalf make_memory_half(Loop& loop, size_t buffer_bytes, MemoryNames names) {
  OUTRIGGER_ASSERT(buffer_bytes > 0);
  auto state = std::make_shared<MemoryWire::State>(loop);
  for (Pipe& pipe : state->pipes) pipe.buffer_bytes_max = buffer_bytes;
  const std::string first = names.first.empty() ? kPeer : names.first;
  const std::string second = names.second.empty() ? kPeer : names.second;
  return MemoryHalf{
      std::make_unique<MemoryStream>(state, 0, names.first, second, names.is_loopback),
      std::make_unique<MemoryArrival>(state, 1, names.second, first, names.is_loopback),
      MemoryWire(state)};
}

}  // namespace outrigger::net
