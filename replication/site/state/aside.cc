#include "replication/site/state/aside.h"

#include "replication/outbox/ledger.h"
#include "replication/record/bytes.h"

namespace outrigger {
namespace {

constexpr size_t kPairBytes = 64;

}  // namespace

bool is_parked(const Aside& aside) { return is_of_kind(aside.ledger_key, kUnique); }

std::string encode_aside(const Aside& aside) {
  ByteWriter out;
  out.u64_be(static_cast<uint64_t>(aside.since_ms));
  out.u32_be(static_cast<uint32_t>(aside.code));
  out.u32_be(static_cast<uint32_t>(aside.met.size()));
  for (const auto& [a, b] : aside.met) {
    out.dot_be(a);
    out.dot_be(b);
  }
  out.raw(aside.ledger_key);
  return out.take();
}

Result<Aside> decode_aside(std::string_view bytes) {
  ByteReader in(bytes, "what was set aside");
  Aside aside;
  aside.since_ms = static_cast<int64_t>(in.u64_be());
  aside.code = static_cast<int32_t>(in.u32_be());
  const size_t pairs = in.u32_be();
  if (pairs > in.left() / kPairBytes) in.fail("count beyond the end");
  for (size_t i = 0; i < pairs && in.ok(); ++i) {
    const Dot first = in.dot_be();
    aside.met.emplace(first, in.dot_be());
  }
  if (!in.ok()) return in.error();
  aside.ledger_key = in.rest();
  return aside;
}

}  // namespace outrigger
