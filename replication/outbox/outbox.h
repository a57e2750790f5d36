// What the replica, the applier and recovery need of the durable state, as a port: RocksOutbox is
// the one in life, MemoryOutbox the one where RocksDB is in the way (ThreadSanitizer cannot see
// into it).
//
// Families, keys and values: FORMATS.md. A batch is written whole or not at all. Writes are kept
// when the process is killed, and on disk after the next sync(), which the commit thread calls (a
// power cut takes at most what no sync covered). After any failed write or sync the log is not
// trusted: the first error fails all writes from then on; reads go on. heals() writes again what no
// sync had covered; only who then opens the outbox anew, and has read all from it, may go on.
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

// Thread-safe.
class Outbox : public LogPort {
 public:
  using Bytes = std::optional<std::string>;
  using Entries = std::vector<std::pair<Hlc, std::string>>;
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  using RowVisitor = std::function<void(std::string_view ns, std::string_view canonical_id,
                                        std::string_view bytes)>;
  using PairVisitor = std::function<void(std::string_view key, std::string_view bytes)>;

  // Atomically; visible to reads at once. Not synced.
  [[nodiscard]] virtual Status write(Batch&& batch) = 0;
  // May a new write begin? The first failure, or kNoSpace when the entries kept exceed the quota.
  [[nodiscard]] virtual Status admit() const = 0;
  // Bytes of entries until it says that.
  [[nodiscard]] virtual uint64_t room() const = 0;
  [[nodiscard]] virtual std::optional<Error> failure() const = 0;
  // Of one that has failed: can it be opened anew? Everything written is synced then, also a write
  // that was told of an error, but for what that prepared.
  [[nodiscard]] virtual Status heals() = 0;

  // ---- reads: an absent key is nullopt, not an error
  [[nodiscard]] virtual Result<Bytes> row(std::string_view ns,
                                          std::string_view canonical_id) const = 0;
  [[nodiscard]] virtual Result<Bytes> entry(const Origin& origin, Hlc hlc) const = 0;
  [[nodiscard]] virtual Result<Bytes> retry(std::string_view key) const = 0;
  [[nodiscard]] virtual Result<Bytes> meta(std::string_view key) const = 0;
  [[nodiscard]] virtual Result<Bytes> ledger(std::string_view key) const = 0;

  // Records of `origin` in (after, through], ascending, until their bytes reach bytes_max; at least
  // one if there is one.
  [[nodiscard]] virtual Result<Entries> read_entries(const Origin& origin, Hlc after, Hlc through,
                                                     size_t bytes_max) const = 0;
  // Origins of which at least one record is kept, ascending.
  [[nodiscard]] virtual Result<std::vector<Origin>> origins() const = 0;
  [[nodiscard]] virtual Result<Hlc> first_entry(const Origin& origin) const = 0;  // 0: none kept
  [[nodiscard]] virtual Result<Hlc> last_entry(const Origin& origin) const = 0;   // 0: none kept
  // All prepares, in stamp order.
  [[nodiscard]] virtual Result<Entries> scan_prepares() const = 0;
  // Of the ledger, newest first: key, bytes.
  [[nodiscard]] virtual Result<Pairs> latest_ledger(const LedgerRange& range) const = 0;
  // The same from the key `from` on, oldest first, until their bytes reach bytes_max; at least one
  // if there is one.
  [[nodiscard]] virtual Result<Pairs> oldest_ledger(std::string_view from, size_t count,
                                                    size_t bytes_max) const = 0;
  [[nodiscard]] virtual Result<Bytes> first_ledger_key(std::string_view from) const = 0;
  [[nodiscard]] virtual Result<Pairs> scan_meta(std::string_view prefix) const = 0;

  // Scans that stop and go on: `cursor` empty starts; the result is the cursor for the next call,
  // empty at the end. At most `count` items a call. Rows written in between may or may not be seen.
  // `visit` may use the outbox.
  [[nodiscard]] virtual Result<std::string> scan_rows(std::string_view cursor, size_t count,
                                                      const RowVisitor& visit) const = 0;
  [[nodiscard]] virtual Result<std::string> scan_retries(std::string_view cursor, size_t count,
                                                         const PairVisitor& visit) const = 0;

  // Cohorts of records up to `through` of their origin go, but those that are kept (by the record's
  // stamp, and namespace), and with them the rows of the documents in them: how many. Nothing of
  // these rows is scanned (a store may have put each by itself: then it is, and none goes here).
  [[nodiscard]] virtual Result<size_t> drop_cohorts(
      const std::function<Hlc(const Origin&)>& through,
      const std::function<bool(const Dot&, std::string_view ns)>& is_kept) = 0;
  [[nodiscard]] virtual size_t cohort_rows() const = 0;
  // Exact, also across crashes, without ever scanning a backlog.
  [[nodiscard]] virtual Usage usage() const = 0;
};

}  // namespace outrigger::outbox
