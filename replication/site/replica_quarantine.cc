// Records set aside whole: looking at them, and trying one again.
#include "replication/record/record_codec.h"
#include "replication/site/replica_impl.h"

namespace outrigger {

Result<std::vector<LedgerEntry>> Replica::quarantined(size_t limit) const {
  std::vector<std::string> keys;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [name, key] : impl_->quarantined) keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end());  // by age
  std::vector<LedgerEntry> entries;
  for (const std::string& key : keys) {
    if (entries.size() == limit) break;
    auto bytes = impl_->outbox.ledger(key);
    if (!bytes) return tl::unexpected(bytes.error());
    if (!*bytes) continue;  // released meanwhile
    auto entry = decode_ledger(**bytes);
    if (!entry) return tl::unexpected(entry.error());
    entries.push_back(std::move(*entry));
  }
  return entries;
}

Result<std::shared_ptr<const Record>> Replica::Impl::quarantined_record(
    const std::string& ledger_key) const {
  auto bytes = outbox.ledger(ledger_key);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return fail(ErrorCode::kNotFound, "read a record set aside", "", "it is gone");
  auto entry = decode_ledger(**bytes);
  if (!entry) return tl::unexpected(entry.error());
  auto record = decode_record(binary_bytes(entry->value.view()));
  if (!record) return tl::unexpected(record.error());
  return std::make_shared<const Record>(std::move(*record));
}

// The stamps that beat it are forgotten as soon as every member has passed it. After a restart that
// is not known until all have reported; then it shows by the log, which drops what all have.
Result<std::string> Replica::Impl::too_late_for(const Dot& dot) const {
  auto kept = outbox.entry(dot.origin, dot.hlc);
  if (!kept) return tl::unexpected(kept.error());
  const std::lock_guard lock(mutex);
  if (*kept && !stability.stable().covers(dot)) return std::string();
  return std::string(
      "every member has applied or passed over what came up to it, so what was written after it is "
      "not told from it any more: applied now, it would undo newer values and bring back deleted "
      "documents; write anew what is wanted of it (the ledger holds its bytes)");
}

Status Replica::retry_quarantined(const std::string& name) {
  std::string key;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto found = impl_->quarantined.find(name);
    if (found != impl_->quarantined.end()) key = found->second;
  }
  if (key.empty()) {
    return fail(ErrorCode::kNotFound, "try a record again", name,
                "no record of this name is set aside");
  }
  auto record = impl_->quarantined_record(key);
  if (!record) return tl::unexpected(record.error());
  auto too_late = impl_->too_late_for((*record)->dot());
  if (!too_late) return tl::unexpected(too_late.error());
  if (!too_late->empty()) {
    return fail(ErrorCode::kRefused, "try a record again", name, *too_late);
  }
  {
    const std::lock_guard lock(impl_->mutex);
    std::string wrong = wrong_with(**record, impl_->record_rules());
    if (wrong.empty() && !(*record)->retired.empty()) wrong = "it retires epochs out of its turn";
    if (!wrong.empty()) return fail(ErrorCode::kRefused, "try a record again", name, wrong);
    impl_->quarantine_retries.insert(name);
  }
  const std::lock_guard lock(impl_->wakers_mutex);
  if (impl_->arrived) impl_->arrived();
  return {};
}

}  // namespace outrigger
