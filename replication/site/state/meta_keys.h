// What a site keeps in the log beside records and rows: the keys of the `meta` family, the numbers
// under them, and the entries of the retry table. The bytes: FORMATS.md, section 9.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/causality/stamp.h"
#include "replication/outbox/batch.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"

namespace outrigger {

namespace meta_keys {
inline constexpr const char* kSiteId = "site_id";
inline constexpr const char* kBound = "clock_bound";
inline constexpr const char* kIntent = "apply_intent";
inline constexpr const char* kLedgerDropped = "ledger_dropped";
inline constexpr const char* kLedgerDroppedOpen = "ledger_dropped_open";
inline constexpr const char* kOplogTime = "oplog_time";
inline constexpr const char* kStoreProcess = "store_process";
inline constexpr const char* kRedoIntent = "redo_intent";
inline constexpr const char* kRules = "rules";
inline constexpr const char* kRulesHeld = "rules_held";
inline constexpr const char* kRulesFile = "rules_file";
inline constexpr const char* kRestingMonitor = "resting_monitor";
// What others begin with.
inline constexpr const char* kVector = "vector/";
inline constexpr const char* kFloor = "floor/";
inline constexpr const char* kJournaled = "journaled/";
inline constexpr const char* kBackend = "backend/";
inline constexpr const char* kTransaction = "transaction/";
inline constexpr const char* kDetached = "detached/";
inline constexpr const char* kCorrection = "correction/";
inline constexpr const char* kMember = "member/";
inline constexpr const char* kQuarantined = "quarantined/";
inline constexpr const char* kRelaxed = "relaxed/";
inline constexpr const char* kKept = "kept/";
inline constexpr const char* kOwedLoss = "owed_loss/";
[[nodiscard]] std::string of_origin(const char* prefix, const Origin& origin);
// Nothing when the key is none of of_origin().
[[nodiscard]] std::optional<Origin> origin_in(const char* prefix, std::string_view key);
}  // namespace meta_keys

void put_journaled(outbox::Batch& batch, const Origin& origin, Hlc hlc);
void put_journaled(outbox::Batch& batch, const VersionVector& journaled);

[[nodiscard]] std::optional<uint64_t> parse_sortable(std::string_view bytes);

// What stands in the retry table: an answer, and since when, so that it can expire.
[[nodiscard]] std::string encode_retry(int64_t wall_ms, const std::string& answer);
[[nodiscard]] Result<std::string> retry_answer(std::string_view bytes);
void put_retries(outbox::Batch& batch, const std::vector<RetryEntry>& retries, int64_t wall_ms);

}  // namespace outrigger
