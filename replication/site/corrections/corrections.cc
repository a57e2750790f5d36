#include "replication/site/corrections/corrections.h"

#include "replication/record/bytes.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {

void put_correction(outbox::Batch& batch, const Correction& correction) {
  ByteWriter out;
  out.counted(correction.id);
  batch.put_meta(meta_keys::kCorrection + correction.row_key, out.take());
}

Result<bson::OwnedValue> decode_correction(std::string_view bytes) {
  ByteReader in(bytes, "what is to be corrected");
  bson::OwnedValue id = in.counted();
  in.end();
  if (!in.ok()) return in.error();
  return id;
}

void Corrections::add(std::span<const Correction> corrections) {
  const MutexLock lock(mutex_);
  for (const Correction& each : corrections) due_.insert_or_assign(each.row_key, each.id);
}

std::map<std::string, bson::OwnedValue> Corrections::due(const std::string& cursor,
                                                         size_t count) const {
  std::map<std::string, bson::OwnedValue> some;
  const MutexLock lock(mutex_);
  for (auto at = due_.upper_bound(cursor); at != due_.end() && some.size() < count; ++at) {
    some.insert(*at);
  }
  return some;
}

std::map<std::string, bson::OwnedValue> Corrections::find(const std::string& row_key) const {
  std::map<std::string, bson::OwnedValue> one;
  const MutexLock lock(mutex_);
  const auto known = due_.find(row_key);
  if (known != due_.end()) one.insert(*known);
  return one;
}

bool Corrections::is_noted(const std::string& row_key) const {
  const MutexLock lock(mutex_);
  return due_.contains(row_key);
}

void Corrections::end(std::span<const std::string> row_keys, outbox::Batch& batch) {
  const MutexLock lock(mutex_);
  for (const std::string& key : row_keys) {
    batch.remove_meta(meta_keys::kCorrection + key);
    due_.erase(key);
  }
}

}  // namespace outrigger
