#include "replication/link/block.h"

#include <cstring>

namespace outrigger::link {
namespace {

constexpr int kAcceleration = 1;

}  // namespace

BlockPacker::BlockPacker()
    : stream_(LZ4_createStream()), history_(kBlockHistoryBytes + kBlockBytesMax, '\0') {}

std::string BlockPacker::pack(std::string_view plain) {
  OUTRIGGER_ASSERT(!plain.empty() && plain.size() <= kBlockBytesMax);
  if (used_ + plain.size() > history_.size()) {
    used_ = static_cast<size_t>(
        LZ4_saveDict(stream_.get(), history_.data(), static_cast<int>(kBlockHistoryBytes)));
  }
  char* source = history_.data() + used_;
  std::memcpy(source, plain.data(), plain.size());
  used_ += plain.size();

  int size = static_cast<int>(plain.size());
  std::string packed(static_cast<size_t>(LZ4_compressBound(size)), '\0');
  int produced = LZ4_compress_fast_continue(stream_.get(), source, packed.data(), size,
                                            static_cast<int>(packed.size()), kAcceleration);
  OUTRIGGER_ASSERT(produced > 0);
  packed.resize(static_cast<size_t>(produced));
  return packed;
}

Status BlockExpander::expand(std::string_view packed, uint64_t plain_size, std::string& out) {
  if (plain_size == 0 || plain_size > kBlockBytesMax || packed.empty() ||
      packed.size() > static_cast<size_t>(LZ4_compressBound(kBlockBytesMax))) {
    return fail(ErrorCode::kCorrupt, "expand block", "",
                std::to_string(packed.size()) + " packed bytes are declared to hold " +
                    std::to_string(plain_size));
  }
  size_t begin = out.size();
  out.resize(begin + plain_size);
  int produced = LZ4_decompress_safe_usingDict(
      packed.data(), out.data() + begin, static_cast<int>(packed.size()),
      static_cast<int>(plain_size), history_.data(), static_cast<int>(history_.size()));
  if (produced < 0 || static_cast<uint64_t>(produced) != plain_size) {
    out.resize(begin);
    return fail(ErrorCode::kCorrupt, "expand block", "",
                "it does not expand to the declared " + std::to_string(plain_size) + " bytes");
  }
  history_.append(out, begin, std::string::npos);
  if (history_.size() > kBlockHistoryBytes) {
    history_.erase(0, history_.size() - kBlockHistoryBytes);
  }
  return {};
}

}  // namespace outrigger::link
