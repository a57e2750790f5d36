// Validation without recursion: a stack of where each open document ends, on the machine's stack up
// to the default depth, so that the usual document costs no allocation.
#include "replication/bson/bson.h"
#include "replication/bson/layout.h"

namespace outrigger::bson {
namespace {

constexpr size_t kInlineDepth = 208;
constexpr const char* kTooDeep = "nested too deeply";

class Validator {
 public:
  Validator(Bytes bytes, size_t depth_max)
      : base_(bytes.data()), at_(bytes.data()), depth_max_(depth_max) {}

  // Null, or why the document is refused; `at()` is where.
  const char* run(Bytes bytes) {
    const auto length = document_length(bytes);
    if (!length || *length != bytes.size()) return "length does not match";
    if (const char* why = enter(bytes.data() + bytes.size())) return why;
    for (;;) {
      if (at_ == end_) {  // at the NUL that `enter` has checked
        ++at_;
        if (--depth_ == 0) return nullptr;
        end_ = closing(depth_ - 1);
      } else if (const char* why = element()) {
        return why;
      }
    }
  }

  [[nodiscard]] size_t at() const { return static_cast<size_t>(at_ - base_); }

 private:
  const char*& closing(size_t depth) {
    return depth < kInlineDepth ? inline_[depth] : deep_[depth - kInlineDepth];
  }

  // Opens the document at at_, whose length is known to be right.
  const char* enter(const char* end) {
    if (depth_ == depth_max_) return kTooDeep;
    if (end[-1] != 0) return "document without terminator";
    if (depth_ >= kInlineDepth) deep_.resize(depth_ - kInlineDepth + 1);
    end_ = end - 1;
    closing(depth_++) = end_;
    at_ += 4;
    return nullptr;
  }

  const char* element() {
    const auto type = static_cast<Type>(*at_);
    const uint8_t fixed = internal::kFixedLengths.of[static_cast<uint8_t>(*at_)];
    if (fixed == internal::kUnknown) return "unknown type";
    const size_t name = internal::cstring_length(at_ + 1, end_);
    if (name == internal::kMalformed) return "name without terminator";
    const char* value = at_ + 1 + name + 1;
    const size_t length = internal::value_length(type, value, end_);
    if (length == internal::kMalformed) return "value does not fit";
    at_ = value;
    if (type == Type::kDocument || type == Type::kArray) return enter(value + length);
    if (type == Type::kCodeWithScope) {
      at_ += 4 + 4 + internal::load<int32_t>(value + 4);
      return enter(value + length);
    }
    if (type == Type::kBool && (*value & ~1) != 0) return "bool is neither 0 nor 1";
    at_ += length;
    return nullptr;
  }

  const char* base_;
  const char* at_;
  const char* end_ = nullptr;  // the terminator of the document being read
  size_t depth_max_;
  size_t depth_ = 0;
  const char* inline_[kInlineDepth];
  std::vector<const char*> deep_;
};

}  // namespace

Status validate(Bytes bytes, int depth_max) {
  Validator validator(bytes, static_cast<size_t>(depth_max < 0 ? 0 : depth_max) + 1);
  if (const char* why = validator.run(bytes)) {
    const auto code = why == kTooDeep ? ErrorCode::kUnsupported : ErrorCode::kCorrupt;
    return fail(code, "read", "BSON document",
                std::string(why) + " at byte " + std::to_string(validator.at()) + " of " +
                    std::to_string(bytes.size()));
  }
  return {};
}

}  // namespace outrigger::bson
