#include "replication/site/quarantine.h"

#include <algorithm>
#include <cstring>

#include "replication/record/record_codec.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {

Status Quarantine::load() {
  auto records = context_.outbox.scan_meta(meta_keys::kQuarantined);
  if (!records) return tl::unexpected(records.error());
  const MutexLock lock(mutex_);
  for (const auto& [key, ledger_key] : *records) {
    records_.emplace(key.substr(std::strlen(meta_keys::kQuarantined)), ledger_key);
  }
  return {};
}

bool Quarantine::holds(const Dot& dot) const {
  const MutexLock lock(mutex_);
  return !records_.empty() && records_.count(record_name(dot)) > 0;
}

size_t Quarantine::size() const {
  const MutexLock lock(mutex_);
  return records_.size();
}

Result<std::vector<LedgerEntry>> Quarantine::list(size_t limit) const {
  std::vector<std::string> keys;
  {
    const MutexLock lock(mutex_);
    for (const auto& [name, key] : records_) keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end());  // by age
  std::vector<LedgerEntry> entries;
  for (const std::string& key : keys) {
    if (entries.size() == limit) break;
    auto bytes = context_.outbox.ledger(key);
    if (!bytes) return tl::unexpected(bytes.error());
    if (!*bytes) continue;  // released meanwhile
    auto entry = decode_ledger(**bytes);
    if (!entry) return tl::unexpected(entry.error());
    entries.push_back(std::move(*entry));
  }
  return entries;
}

Result<std::shared_ptr<const Record>> Quarantine::record(const std::string& ledger_key) const {
  auto bytes = context_.outbox.ledger(ledger_key);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return fail(ErrorCode::kNotFound, "read a record set aside", "", "it is gone");
  auto entry = decode_ledger(**bytes);
  if (!entry) return tl::unexpected(entry.error());
  auto record = decode_record(entry->value.view().binary());
  if (!record) return tl::unexpected(record.error());
  return std::make_shared<const Record>(std::move(*record));
}

// The stamps that beat it are forgotten as soon as every member has passed it. After a restart that
// is not known until all have reported; then it shows by the log, which drops what all have.
Result<std::string> Quarantine::too_late_for(const Dot& dot) const {
  auto kept = context_.outbox.entry(dot.origin, dot.hlc);
  if (!kept) return tl::unexpected(kept.error());
  if (*kept && !state_.standing().stable.covers(dot)) return std::string();
  return std::string(
      "every member has applied or passed over what came up to it, so what was written after it is "
      "not told from it any more: applied now, it would undo newer values and bring back deleted "
      "documents; write anew what is wanted of it (the ledger holds its bytes)");
}

Status Quarantine::retry(const std::string& name) {
  std::string key;
  {
    const MutexLock lock(mutex_);
    const auto found = records_.find(name);
    if (found != records_.end()) key = found->second;
  }
  if (key.empty()) {
    return fail(ErrorCode::kNotFound, "try a record again", name,
                "no record of this name is set aside");
  }
  auto known = record(key);
  if (!known) return tl::unexpected(known.error());
  auto too_late = too_late_for((*known)->dot());
  if (!too_late) return tl::unexpected(too_late.error());
  if (!too_late->empty()) {
    return fail(ErrorCode::kRefused, "try a record again", name, *too_late);
  }
  const auto met = members_.ids();
  const VersionVector visible = state_.standing().visible;
  std::string wrong = wrong_with(**known, Membership{context_, *met, visible}.record_rules());
  if (wrong.empty() && !(*known)->retired.empty()) wrong = "it retires epochs out of its turn";
  if (!wrong.empty()) return fail(ErrorCode::kRefused, "try a record again", name, wrong);
  put_back(name);
  wakers_.wake_for_work();
  return {};
}

std::map<std::string, std::string> Quarantine::due() {
  std::map<std::string, std::string> due;
  const MutexLock lock(mutex_);
  for (const std::string& name : retries_) {
    const auto found = records_.find(name);
    if (found != records_.end()) due.insert(*found);
  }
  if (due.empty()) retries_.clear();
  return due;
}

void Quarantine::taken(const std::string& name) {
  const MutexLock lock(mutex_);
  retries_.erase(name);
}

void Quarantine::put_back(const std::string& name) {
  const MutexLock lock(mutex_);
  retries_.insert(name);
}

void Quarantine::change(const std::map<std::string, std::shared_ptr<const Record>>& released,
                        std::map<std::string, std::string> set_aside) {
  const MutexLock lock(mutex_);
  for (const auto& [name, record] : released) records_.erase(name);
  records_.merge(set_aside);
}

}  // namespace outrigger
