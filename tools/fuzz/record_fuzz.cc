// Bytes of a hostile peer or a damaged disk against the decoders of records and prepares: whatever
// decodes must encode to something that decodes to the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "replication/record/prepare.h"
#include "replication/record/record_codec.h"

namespace {

constexpr outrigger::RecordLimits limits() {
  outrigger::RecordLimits limits;
  limits.decoded_bytes_max = 64u << 20;  // stay inside the fuzzer's own memory limit
  return limits;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto segments = outrigger::decode_segments(bytes, limits())) {
    OUTRIGGER_ASSERT(*outrigger::decode_segments(outrigger::encode_segments(*segments)) ==
                     *segments);
  }
  if (const auto record = outrigger::decode_record(bytes, limits())) {
    OUTRIGGER_ASSERT(*outrigger::decode_record(outrigger::encode_record(*record)) == *record);
  }
  if (const auto prepare = outrigger::decode_prepare(bytes)) {
    OUTRIGGER_ASSERT(*outrigger::decode_prepare(outrigger::encode_prepare(*prepare)) == *prepare);
  }
  return 0;
}
