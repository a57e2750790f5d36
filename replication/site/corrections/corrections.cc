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
  for (const Correction& each : corrections) {
    notes_.insert_or_assign(each.row_key, Note{each.id, {}, 0});
  }
}

std::map<std::string, bson::OwnedValue> Corrections::due(const std::string& cursor, size_t count,
                                                         const Store& store) const {
  std::map<std::string, bson::OwnedValue> some;
  const MutexLock lock(mutex_);
  for (auto at = notes_.upper_bound(cursor); at != notes_.end() && some.size() < count; ++at) {
    if (at->second.is_due(store)) some.emplace(at->first, at->second.id);
  }
  return some;
}

std::map<std::string, bson::OwnedValue> Corrections::find(const std::string& row_key,
                                                          const Store& store) const {
  std::map<std::string, bson::OwnedValue> one;
  const MutexLock lock(mutex_);
  const auto note = notes_.find(row_key);
  if (note != notes_.end() && note->second.is_due(store)) one.emplace(row_key, note->second.id);
  return one;
}

bool Corrections::is_noted(const std::string& row_key) const {
  const MutexLock lock(mutex_);
  return notes_.contains(row_key);
}

bool Corrections::is_settled(const std::string& row_key, const Store& store) const {
  const MutexLock lock(mutex_);
  const auto note = notes_.find(row_key);
  return note != notes_.end() && note->second.is_settled(store);
}

void Corrections::corrected(std::span<const std::string> row_keys, const std::string& process,
                            Hlc stamp) {
  const MutexLock lock(mutex_);
  for (const std::string& key : row_keys) {
    const auto note = notes_.find(key);
    if (note == notes_.end()) continue;
    note->second.process = process;
    note->second.corrected = stamp;
  }
}

void Corrections::end(std::span<const std::string> row_keys) {
  const MutexLock lock(mutex_);
  for (const std::string& key : row_keys) notes_.erase(key);
}

void Corrections::put_end(std::span<const std::string> row_keys, outbox::Batch& batch) {
  for (const std::string& key : row_keys) batch.remove_meta(meta_keys::kCorrection + key);
}

}  // namespace outrigger
