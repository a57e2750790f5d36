#include "replication/site/retirement.h"

#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kPurgeBytes = 1u << 20;  // read at once

}  // namespace

Status Retirement::retire() {
  auto record = state_.begin_retiring();
  while (record && record->hlc == 0) {
    if (Status renewed = records_.renew_bound(); !renewed) return renewed;
    record = state_.begin_retiring();
  }
  if (!record) return {};
  const Origin retired = VersionVector::retired_of(context_.self.site);
  outbox::Batch batch;
  batch.put_meta(meta_keys::of_origin(meta_keys::kVector, retired),
                 outbox::sortable(watermark_of(*record)));
  return writes_.commit(*record, std::move(batch));
}

Status Retirement::purge() {
  const auto applied = state_.begin_purge();
  if (!applied) return {};
  outbox::Outbox& outbox = context_.outbox;
  auto origins = outbox.origins();
  if (!origins) return tl::unexpected(origins.error());
  for (const Origin& origin : *origins) {
    if (origin == context_.self || applied->at(origin) != 0) continue;
    while (true) {
      auto entries = outbox.read_entries(origin, 0, applied->get(origin), kPurgeBytes);
      if (!entries) return tl::unexpected(entries.error());
      if (entries->empty()) break;
      outbox::Batch batch;
      for (const auto& [stamp, bytes] : *entries) {
        batch.remove_read_entry(origin, stamp, bytes.size());
      }
      if (Status written = context_.write_soon(std::move(batch)); !written) return written;
    }
  }
  outbox::Batch batch;
  for (const char* prefix : {meta_keys::kVector, meta_keys::kFloor, meta_keys::kJournaled}) {
    auto pairs = outbox.scan_meta(prefix);
    if (!pairs) return tl::unexpected(pairs.error());
    for (const auto& [key, bytes] : *pairs) {
      const auto origin = meta_keys::origin_in(prefix, key);
      const bool gone = origin && *origin != context_.self && applied->at(*origin) == 0 &&
                        applied->get(*origin) >= parse_sortable(bytes).value_or(kHlcMax);
      if (gone) batch.remove_meta(key);
    }
  }
  return batch.empty() ? Status() : context_.write_soon(std::move(batch));
}

}  // namespace outrigger
