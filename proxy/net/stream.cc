#include "proxy/net/stream.h"

#include <algorithm>
#include <cstring>

namespace outrigger::net {

bool ReadAwaiter::await_ready() { return stream_.take_kept(*this) || stream_.start_read(*this); }

bool WriteAwaiter::await_ready() { return stream_.start_write(*this); }

bool ShutdownAwaiter::await_ready() { return stream_.start_shutdown(*this); }

std::span<const std::string_view> WriteAwaiter::pieces() const {
  if (is_many_) return many_;
  return {&one_, 1};
}

void WriteAwaiter::keep_borrowed(const Loop& loop) {
  size_t borrowed_bytes = 0;
  for (const auto piece : pieces()) borrowed_bytes += loop.is_borrowed(piece) ? piece.size() : 0;
  if (borrowed_bytes == 0) return;
  kept_ = std::make_unique<Kept>();
  kept_->bytes.reserve(borrowed_bytes);  // the views below need it to stay where it is
  for (auto piece : pieces()) {
    if (loop.is_borrowed(piece)) {
      const size_t begin = kept_->bytes.size();
      kept_->bytes.append(piece);
      piece = std::string_view(kept_->bytes).substr(begin);
    }
    kept_->pieces.push_back(piece);
  }
  many_ = kept_->pieces;
  is_many_ = true;
}

void Stream::unread(std::string_view bytes) {
  if (bytes.empty()) return;
  // Built apart: `bytes` may lie in kept_ or lent_.
  std::string kept(bytes);
  kept.append(kept_);
  kept_ = std::move(kept);
}

bool Stream::take_kept(ReadAwaiter& reader) {
  if (!lent_.empty()) std::string().swap(lent_);
  if (kept_.empty() || !is_open()) return false;
  lent_ = std::move(kept_);
  kept_.clear();
  reader.set(std::string_view(lent_));
  return true;
}

Task<Result<size_t>> Stream::read(std::span<char> into) {
  if (into.empty()) co_return size_t{0};
  auto bytes = co_await read_some();
  if (!bytes) co_return tl::unexpected<Error>(std::move(bytes.error()));
  const size_t count = std::min(into.size(), bytes->size());
  std::memcpy(into.data(), bytes->data(), count);
  unread(bytes->substr(count));
  co_return count;
}

Task<Status> Stream::read_exactly(std::span<char> into) {
  while (!into.empty()) {
    auto bytes = co_await read_some();
    if (!bytes) co_return tl::unexpected<Error>(std::move(bytes.error()));
    if (bytes->empty()) {
      co_return fail(ErrorCode::kClosed, "read", peer_address(),
                     "the other side closed in the middle of a message");
    }
    const size_t count = std::min(into.size(), bytes->size());
    std::memcpy(into.data(), bytes->data(), count);
    unread(bytes->substr(count));
    into = into.subspan(count);
  }
  co_return Status();
}

}  // namespace outrigger::net
