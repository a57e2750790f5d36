#include "replication/site/state/meta_keys.h"

#include <cstring>

#include "replication/record/bytes.h"

namespace outrigger {

std::string meta_keys::of_origin(const char* prefix, const Origin& origin) {
  return prefix + outbox::origin_key(origin);
}

std::optional<Origin> meta_keys::origin_in(const char* prefix, std::string_view key) {
  constexpr size_t kOriginBytes = 24;
  const size_t prefix_bytes = std::strlen(prefix);
  if (!key.starts_with(prefix) || key.size() != prefix_bytes + kOriginBytes) return std::nullopt;
  return outbox::origin_of(key.substr(prefix_bytes));
}

void put_journaled(outbox::Batch& batch, const Origin& origin, Hlc hlc) {
  batch.put_meta(meta_keys::of_origin(meta_keys::kJournaled, origin), outbox::sortable(hlc));
}

void put_journaled(outbox::Batch& batch, const VersionVector& journaled) {
  for (const auto& [origin, hlc] : journaled.entries()) put_journaled(batch, origin, hlc);
}

std::optional<uint64_t> parse_sortable(std::string_view bytes) {
  ByteReader in(bytes, "number");
  const uint64_t number = in.u64_be();
  in.end();
  return in.ok() ? std::optional(number) : std::nullopt;
}

std::string encode_retry(int64_t wall_ms, const std::string& answer) {
  return outbox::sortable(static_cast<uint64_t>(wall_ms)) + answer;
}

Result<std::string> retry_answer(std::string_view bytes) {
  ByteReader in(bytes, "retry entry");
  (void)in.u64_be();
  if (!in.ok()) return in.error();
  return std::string(in.rest());
}

void put_retries(outbox::Batch& batch, const std::vector<RetryEntry>& retries, int64_t wall_ms) {
  for (const RetryEntry& retry : retries) {
    batch.put_retry(retry.key, encode_retry(wall_ms, retry.value));
  }
}

}  // namespace outrigger
