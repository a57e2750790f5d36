// RocksDB takes a CRC32C of every log record. Debian's is compiled for CPUs without SSE 4.2, so its
// sum goes through tables, 6 % of all that an insert of many documents costs this process. (Blocks
// of tables have XXH3, which is fast anywhere.) So the linker sends its calls here: CMakeLists.txt.
// Where RocksDB is linked as a shared library it keeps its own, which gives the same sums.
#include <cstddef>
#include <cstdint>

#include "replication/bson/crc32c.h"

namespace outrigger::outbox {

// rocksdb::crc32c::Extend(crc, data, bytes)
uint32_t extend_crc32c(uint32_t crc, const char* data,
                       size_t bytes) asm("__wrap__ZN7rocksdb6crc32c6ExtendEjPKcm");

uint32_t extend_crc32c(uint32_t crc, const char* data, size_t bytes) {
  return crc32c({data, bytes}, crc);
}

}  // namespace outrigger::outbox
