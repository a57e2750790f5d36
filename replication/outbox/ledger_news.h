// What a site tells the others about values that lost (Record::news): what somebody decided about
// one of them, so that it is decided everywhere, and documents that a delete took, as only a site
// that had updated one has it whole. FORMATS.md, section 3.
//
// The name of an entry may differ between sites, as may what beat the value: of three that lost to
// each other each site saw another two first. So a decision names the value that lost.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/limits.h"
#include "config/result.h"
#include "replication/outbox/ledger.h"

namespace outrigger {

// A larger document, with twice its _id, is told to nobody: so that any entry fits a record.
inline constexpr size_t kToldBytesMax = size_t{12} << 20;
static_assert(kToldBytesMax < limits::kRecordBytesMax - (1 << 20));

struct LedgerDecision {
  std::string ns;
  bson::OwnedValue id;
  Path path;
  std::string kind;
  Dot loser;
  Dot winner;                          // there: where to begin to look
  std::optional<uint64_t> value_hash;  // where the entry is told from others by its value
  LedgerMark mark = LedgerMark::kNone;
  // What an undoing puts back, also where that is what had won there. Nothing: it is large.
  std::optional<Replaced> replaced;
  friend bool operator==(const LedgerDecision&, const LedgerDecision&) = default;
};

struct LedgerNews {
  std::optional<LedgerDecision> decision;
  std::vector<LedgerEntry> lost;
  friend bool operator==(const LedgerNews&, const LedgerNews&) = default;
};

// Is it one that other sites have, too, as they have seen the same writes?
[[nodiscard]] bool is_shared(const LedgerEntry& entry);
// `entry`: as it is marked now.
[[nodiscard]] LedgerDecision decision_about(const LedgerEntry& entry);
// Is that decided by it, whatever the value lost to? With a whole document that a delete took all
// that lost in it is.
[[nodiscard]] bool is_about(const LedgerDecision& decision, const LedgerEntry& entry);
// Marks it, unless something later did. False: that is so.
[[nodiscard]] bool decide(LedgerEntry& entry, const LedgerDecision& decision, const Dot& by);

// A whole document that a delete took from `site`, whose write lost: the others have no more of it
// than that write.
[[nodiscard]] bool is_to_be_told(const LedgerEntry& entry, const SiteId& site);

[[nodiscard]] std::string encode_news(const LedgerNews& news);
// Errors: kCorrupt.
[[nodiscard]] Result<LedgerNews> decode_news(std::string_view bytes);

}  // namespace outrigger
