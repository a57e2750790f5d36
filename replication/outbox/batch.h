// What is written together: a list of changes with typed names, and the keys under which things
// stand. Knows nothing of RocksDB, so that an outbox in memory takes the same batches.
// The families, their keys and values: FORMATS.md, section 2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replication/causality/stamp.h"

namespace outrigger::outbox {

enum class Family : uint8_t { kPrepares, kEntries, kVersions, kLedger, kRetries, kMeta, kCohorts };
inline constexpr size_t kFamilies = 7;

// Eight bytes that sort as the number does.
[[nodiscard]] std::string sortable(uint64_t number);
// The number at the end of a key made with sortable(); 0 when the key is too short.
[[nodiscard]] uint64_t sortable_tail(std::string_view key);
// What all entries of an origin begin with.
[[nodiscard]] std::string origin_key(const Origin& origin);
[[nodiscard]] std::string entry_key(const Origin& origin, Hlc hlc);
// The origin in an entry's key; the key has at least its 24 bytes (asserted).
[[nodiscard]] Origin origin_of(std::string_view entry_key);
// `ns` holds no 0x00 (MongoDB forbids it).
[[nodiscard]] std::string row_key(std::string_view ns, std::string_view canonical_id);

// Keeps what it is given. Not thread-safe; belongs to no store until written.
class Batch {
 public:
  struct Change {
    Family family;
    bool remove;
    std::string key;
    std::string bytes;   // empty when removing
    bool fresh = false;  // nothing stood under this key before
    // Of what it removes, by one who has just read it: it is there.
    std::optional<size_t> removed_bytes = std::nullopt;
  };

  Batch& put_prepare(Hlc hlc, std::string bytes);
  Batch& remove_prepare(Hlc hlc);
  Batch& put_entry(const Origin& origin, Hlc hlc, std::string bytes);
  // The same for a stamp just issued: the store need not look whether it replaces something.
  Batch& put_fresh_entry(const Origin& origin, Hlc hlc, std::string bytes);
  Batch& remove_entry(const Origin& origin, Hlc hlc);
  // The same of one that is there, of `bytes`, that nobody else removes and this batch does not
  // name otherwise: the store need not look.
  Batch& remove_read_entry(const Origin& origin, Hlc hlc, size_t bytes);
  Batch& put_row(std::string_view ns, std::string_view canonical_id, std::string_view bytes);
  Batch& remove_row(std::string_view ns, std::string_view canonical_id);
  // Rows of documents that have none yet, born by the record `dot`: as CohortWriter made it.
  Batch& put_cohort(const Dot& dot, std::string_view ns, std::string cohort);
  // By row_key().
  Batch& put_row(std::string key, std::string bytes);
  Batch& remove_row(std::string key);
  Batch& put_ledger(std::string_view key, std::string_view bytes);
  Batch& remove_ledger(std::string_view key);
  Batch& put_retry(std::string_view key, std::string_view bytes);
  Batch& remove_retry(std::string_view key);
  Batch& put_meta(std::string_view key, std::string_view bytes);
  Batch& remove_meta(std::string_view key);

  // It may have been written before: nothing is taken for granted of what is there.
  Batch& doubt();
  // Nothing is done that it prepares: each prepare that it puts it takes away.
  Batch& withdraw_prepares();
  // Everything of `other` after what is here.
  Batch& append(Batch&& other);

  // In the order of the calls: of two changes to one key the later stands.
  [[nodiscard]] const std::vector<Change>& changes() const { return changes_; }
  [[nodiscard]] bool empty() const { return changes_.empty(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }  // of keys and values

 private:
  Batch& put(Family family, std::string key, std::string bytes);
  Batch& remove(Family family, std::string key);

  std::vector<Change> changes_;
  size_t bytes_ = 0;
};

// Numbers for metrics and /status.
struct Usage {
  uint64_t entries = 0;            // records kept
  uint64_t entries_bytes = 0;      // their encoded size, uncompressed
  uint64_t ledger = 0;             // entries of the ledger
  uint64_t ledger_bytes = 0;       // of their keys and values, uncompressed
  uint64_t ledger_open = 0;        // of these the open ones, as they say themselves
  uint64_t ledger_open_bytes = 0;  // of those that lost to another write
};

}  // namespace outrigger::outbox
