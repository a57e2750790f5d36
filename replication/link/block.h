// LZ4 blocks that remember. Small batches hardly compress by themselves; each direction of a link
// therefore keeps the last 64 KiB of plain bytes as a dictionary on both sides, so that repeated
// field names and ids cost a few bytes. Blocks must be expanded in the order they were packed.
//
// Only the bounds-checked decoder of LZ4 is used, into a buffer of exactly the declared size, and
// the declared size must be the produced one.
#pragma once

#include <lz4.h>

#include <memory>
#include <string>
#include <string_view>

#include "config/result.h"

namespace outrigger::link {

inline constexpr size_t kBlockBytesMax = 256 * 1024;  // plain
inline constexpr size_t kBlockHistoryBytes = 64 * 1024;

class BlockPacker {
 public:
  BlockPacker();
  // The packed form of 1 to kBlockBytesMax plain bytes; may be larger than they are.
  [[nodiscard]] std::string pack(std::string_view plain);

 private:
  struct FreeStream {
    void operator()(LZ4_stream_t* stream) const { LZ4_freeStream(stream); }
  };
  std::unique_ptr<LZ4_stream_t, FreeStream> stream_;
  std::string history_;  // LZ4 refers into it: never reallocated
  size_t used_ = 0;
};

class BlockExpander {
 public:
  // Appends the plain bytes to `out`. kCorrupt when `plain_size` is not in 1..kBlockBytesMax or the
  // block does not expand to exactly that.
  [[nodiscard]] Status expand(std::string_view packed, uint64_t plain_size, std::string& out);

 private:
  std::string history_;  // the last plain bytes, at most kBlockHistoryBytes
};

}  // namespace outrigger::link
