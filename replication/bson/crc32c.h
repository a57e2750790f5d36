// CRC-32C (Castagnoli), the checksum of OP_MSG, of our links and of iSCSI. Uses the CPU's own
// instruction where there is one (asked once, at run time), a table elsewhere.
#pragma once

#include <cstdint>
#include <string_view>

namespace outrigger {

// Checksum of `bytes`; to continue over further bytes pass the previous result as `crc`.
[[nodiscard]] uint32_t crc32c(std::string_view bytes, uint32_t crc = 0);

namespace internal {
[[nodiscard]] uint32_t crc32c_table(std::string_view bytes, uint32_t crc);  // portable; for tests
}

}  // namespace outrigger
