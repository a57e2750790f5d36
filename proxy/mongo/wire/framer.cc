#include "proxy/mongo/wire/framer.h"

#include <algorithm>

#include "config/limits.h"

namespace outrigger::wire {
namespace {

Framer::Step need(size_t bytes) {
  Framer::Step step;
  step.bytes_needed = bytes;
  return step;
}

void move_front(std::string& to, Bytes& input, size_t bytes) {
  const size_t taken = std::min(bytes, input.size());
  to.append(input.substr(0, taken));
  input.remove_prefix(taken);
}

}  // namespace

Framer::Step Framer::judge(const MsgHeader& header) {
  Step step;
  step.header = header;
  const int64_t length = header.message_length;
  if (length >= static_cast<int64_t>(kHeaderBytes) && length <= static_cast<int64_t>(bytes_max_)) {
    step.kind = Kind::kHeader;
    announced_ = static_cast<size_t>(length);
    return step;
  }
  error_ = WireError{17,
                     "message length " + std::to_string(length) + " is not between " +
                         std::to_string(kHeaderBytes) + " and " + std::to_string(bytes_max_),
                     true};
  step.kind = Kind::kError;
  step.error = *error_;
  return step;
}

void Framer::release() {
  if (!delivered_) return;
  delivered_ = false;
  if (buffer_.capacity() > limits::kKeptBufferBytesMax) {
    std::string().swap(buffer_);  // an assignment would keep its memory
  } else {
    buffer_.clear();
  }
}

std::string Framer::take(const Step& step) {
  OUTRIGGER_ASSERT(step.kind == Kind::kMessage);
  if (!delivered_) return std::string(step.message);
  delivered_ = false;
  return std::exchange(buffer_, std::string());
}

Framer::Step Framer::next_header(Bytes& input) {
  OUTRIGGER_ASSERT(relay_left_ == 0);
  release();
  if (error_) {
    Step step;
    step.kind = Kind::kError;
    step.error = *error_;
    return step;
  }
  if (buffer_.empty() && input.size() >= kHeaderBytes) return judge(*read_header(input));
  if (buffer_.size() < kHeaderBytes) move_front(buffer_, input, kHeaderBytes - buffer_.size());
  if (buffer_.size() < kHeaderBytes) return need(kHeaderBytes - buffer_.size());
  return judge(*read_header(buffer_));
}

Framer::Step Framer::next(Bytes& input) {
  Step step = next_header(input);
  if (step.kind != Kind::kHeader) return step;
  const auto length = static_cast<size_t>(step.header.message_length);
  announced_ = 0;
  if (buffer_.empty() && input.size() >= length) {  // whole: no copy
    step.kind = Kind::kMessage;
    step.message = input.substr(0, length);
    input.remove_prefix(length);
    return step;
  }
  // Grows by doubling as bytes come, and never past the message.
  const size_t wanted = std::min(length, buffer_.size() + input.size());
  if (wanted > buffer_.capacity()) {
    buffer_.reserve(std::min(length, std::max(wanted, 2 * buffer_.capacity())));
  }
  move_front(buffer_, input, length - buffer_.size());
  if (buffer_.size() < length) {
    step.kind = Kind::kNeedMore;
    step.bytes_needed = length - buffer_.size();
    return step;
  }
  delivered_ = true;
  step.kind = Kind::kMessage;
  step.message = buffer_;
  return step;
}

Bytes Framer::relay(Bytes& input) {
  if (relay_left_ == 0) {
    OUTRIGGER_ASSERT(announced_ != 0);
    relay_left_ = std::exchange(announced_, 0) - buffer_.size();
    delivered_ = !buffer_.empty();
    if (delivered_) return buffer_;
  } else {
    release();
  }
  const Bytes piece = input.substr(0, std::min(relay_left_, input.size()));
  input.remove_prefix(piece.size());
  relay_left_ -= piece.size();
  return piece;
}

}  // namespace outrigger::wire
