// What the replica, the applier and recovery need of the durable state, as a port: RocksOutbox is
// the one in life, MemoryOutbox the one where RocksDB is in the way (ThreadSanitizer cannot see
// into it). Meaning, errors and threads are as rocks_outbox.h says of methods of the same name.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/result.h"
#include "replication/causality/stamp.h"
#include "replication/outbox/commit_thread.h"

namespace outrigger::outbox {

class Batch;
struct Usage;

// A piece of the ledger, read from its newest end. Its keys begin with a stamp.
struct LedgerRange {
  Hlc through = kHlcMax;  // no later stamp
  size_t skip = 0;        // of the newest of these
  size_t count = SIZE_MAX;
  size_t bytes_max = SIZE_MAX;  // of values; the first comes in any case
};

class Outbox : public LogPort {
 public:
  using Bytes = std::optional<std::string>;
  using Entries = std::vector<std::pair<Hlc, std::string>>;
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  using RowVisitor = std::function<void(std::string_view ns, std::string_view canonical_id,
                                        std::string_view bytes)>;
  using PairVisitor = std::function<void(std::string_view key, std::string_view bytes)>;

  [[nodiscard]] virtual Status write(Batch&& batch) = 0;
  [[nodiscard]] virtual Status admit() const = 0;
  [[nodiscard]] virtual std::optional<Error> failure() const = 0;
  [[nodiscard]] virtual Status heals() = 0;

  [[nodiscard]] virtual Result<Bytes> row(std::string_view ns,
                                          std::string_view canonical_id) const = 0;
  [[nodiscard]] virtual Result<Bytes> entry(const Origin& origin, Hlc hlc) const = 0;
  [[nodiscard]] virtual Result<Bytes> retry(std::string_view key) const = 0;
  [[nodiscard]] virtual Result<Bytes> meta(std::string_view key) const = 0;
  [[nodiscard]] virtual Result<Bytes> ledger(std::string_view key) const = 0;

  [[nodiscard]] virtual Result<Entries> read_entries(const Origin& origin, Hlc after, Hlc through,
                                                     size_t bytes_max) const = 0;
  [[nodiscard]] virtual Result<std::vector<Origin>> origins() const = 0;
  [[nodiscard]] virtual Result<Hlc> first_entry(const Origin& origin) const = 0;
  [[nodiscard]] virtual Result<Hlc> last_entry(const Origin& origin) const = 0;
  [[nodiscard]] virtual Result<Entries> scan_prepares() const = 0;
  [[nodiscard]] virtual Result<Pairs> latest_ledger(const LedgerRange& range) const = 0;
  [[nodiscard]] virtual Result<Pairs> oldest_ledger(std::string_view from, size_t count,
                                                    size_t bytes_max) const = 0;
  [[nodiscard]] virtual Result<Bytes> first_ledger_key(std::string_view from) const = 0;
  [[nodiscard]] virtual Result<Pairs> scan_meta(std::string_view prefix) const = 0;
  [[nodiscard]] virtual Result<std::string> scan_rows(std::string_view cursor, size_t count,
                                                      const RowVisitor& visit) const = 0;
  [[nodiscard]] virtual Result<std::string> scan_retries(std::string_view cursor, size_t count,
                                                         const PairVisitor& visit) const = 0;
  // Cohorts of records up to `through` of their origin go, and with them the rows of the documents
  // in them: how many. Nothing of these rows is scanned (a store may have put each by itself: then
  // it is, and none goes here).
  [[nodiscard]] virtual Result<size_t> drop_cohorts(
      const std::function<Hlc(const Origin&)>& through) = 0;
  [[nodiscard]] virtual size_t cohort_rows() const = 0;
  [[nodiscard]] virtual Usage usage() const = 0;
};

}  // namespace outrigger::outbox
