#include "replication/outbox/batch.h"

#include <utility>

#include "config/result.h"
#include "replication/outbox/cohorts.h"
#include "replication/record/bytes.h"

namespace outrigger::outbox {
namespace {

constexpr size_t kOriginBytes = 24;

std::string meta_key(std::string_view key) {
  OUTRIGGER_ASSERT(!key.empty() && key.front() != '\0');  // those are the outbox's own
  return std::string(key);
}

}  // namespace

std::string sortable(uint64_t number) {
  ByteWriter key;
  key.u64_be(number);
  return key.take();
}

uint64_t sortable_tail(std::string_view key) {
  if (key.size() < 8) return 0;
  return ByteReader(key.substr(key.size() - 8), "key").u64_be();
}

std::string origin_key(const Origin& origin) {
  ByteWriter key;
  key.origin_be(origin);
  return key.take();
}

std::string entry_key(const Origin& origin, Hlc hlc) {
  ByteWriter key;
  key.reserve(kOriginBytes + sizeof hlc);
  key.dot_be(Dot{hlc, origin});
  return key.take();
}

Origin origin_of(std::string_view entry_key) {
  OUTRIGGER_ASSERT(entry_key.size() >= kOriginBytes);
  return ByteReader(entry_key, "key").origin_be();
}

std::string row_key(std::string_view ns, std::string_view canonical_id) {
  std::string key;
  key.reserve(ns.size() + 1 + canonical_id.size());
  return key.append(ns).append(1, '\0').append(canonical_id);
}

Batch& Batch::put(Family family, std::string key, std::string bytes) {
  bytes_ += key.size() + bytes.size();
  changes_.push_back({family, false, std::move(key), std::move(bytes)});
  return *this;
}

Batch& Batch::remove(Family family, std::string key) {
  bytes_ += key.size();
  changes_.push_back({family, true, std::move(key), {}});
  return *this;
}

Batch& Batch::put_prepare(Hlc hlc, std::string bytes) {
  return put(Family::kPrepares, sortable(hlc), std::move(bytes));
}
Batch& Batch::remove_prepare(Hlc hlc) { return remove(Family::kPrepares, sortable(hlc)); }

Batch& Batch::put_entry(const Origin& origin, Hlc hlc, std::string bytes) {
  return put(Family::kEntries, entry_key(origin, hlc), std::move(bytes));
}
Batch& Batch::put_fresh_entry(const Origin& origin, Hlc hlc, std::string bytes) {
  put_entry(origin, hlc, std::move(bytes));
  changes_.back().fresh = true;
  return *this;
}
Batch& Batch::remove_entry(const Origin& origin, Hlc hlc) {
  return remove(Family::kEntries, entry_key(origin, hlc));
}

Batch& Batch::remove_read_entry(const Origin& origin, Hlc hlc, size_t bytes) {
  remove_entry(origin, hlc);
  changes_.back().removed_bytes = bytes;
  return *this;
}

Batch& Batch::put_row(std::string_view ns, std::string_view canonical_id, std::string_view bytes) {
  return put_row(row_key(ns, canonical_id), std::string(bytes));
}
Batch& Batch::put_cohort(const Dot& dot, std::string_view ns, std::string cohort) {
  return put(Family::kCohorts, cohort_key(dot, ns), std::move(cohort));
}
Batch& Batch::put_row(std::string key, std::string bytes) {
  return put(Family::kVersions, std::move(key), std::move(bytes));
}
Batch& Batch::remove_row(std::string_view ns, std::string_view canonical_id) {
  return remove_row(row_key(ns, canonical_id));
}
Batch& Batch::remove_row(std::string key) { return remove(Family::kVersions, std::move(key)); }

Batch& Batch::put_ledger(std::string_view key, std::string_view bytes) {
  return put(Family::kLedger, std::string(key), std::string(bytes));
}
Batch& Batch::remove_ledger(std::string_view key) {
  return remove(Family::kLedger, std::string(key));
}

Batch& Batch::put_retry(std::string_view key, std::string_view bytes) {
  return put(Family::kRetries, std::string(key), std::string(bytes));
}
Batch& Batch::remove_retry(std::string_view key) {
  return remove(Family::kRetries, std::string(key));
}

Batch& Batch::put_meta(std::string_view key, std::string_view bytes) {
  return put(Family::kMeta, meta_key(key), std::string(bytes));
}
Batch& Batch::remove_meta(std::string_view key) { return remove(Family::kMeta, meta_key(key)); }

Batch& Batch::doubt() {
  for (Change& change : changes_) {
    change.fresh = false;
    change.removed_bytes.reset();
  }
  return *this;
}

Batch& Batch::withdraw_prepares() {
  for (Change& change : changes_) {
    if (change.family != Family::kPrepares || change.remove) continue;
    bytes_ -= change.bytes.size();
    change.bytes.clear();
    change.remove = true;
  }
  return *this;
}

Batch& Batch::append(Batch&& other) {
  bytes_ += std::exchange(other.bytes_, 0);
  if (changes_.empty()) {
    changes_.swap(other.changes_);
  } else {
    std::move(other.changes_.begin(), other.changes_.end(), std::back_inserter(changes_));
    other.changes_.clear();
  }
  return *this;
}

}  // namespace outrigger::outbox
