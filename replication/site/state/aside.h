// What is remembered of a document that the store would not take, besides its row (which holds
// every value of it) and its entry in the ledger (which people read): since when, why, and which
// parts of it were written at several sites apart. Parts that met tell a document that merging
// made, and that nobody may be asked to store, from one that only this store refuses.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "config/result.h"
#include "replication/causality/stamp.h"

namespace outrigger {

// Pairs of commits that gave one document values without having seen each other, the smaller first.
using Met = std::set<std::pair<Dot, Dot>>;
[[nodiscard]] inline std::pair<Dot, Dot> met_pair(const Dot& a, const Dot& b) {
  return a < b ? std::pair(a, b) : std::pair(b, a);
}

struct Aside {
  std::string ledger_key;
  int64_t since_ms = 0;  // wall clock
  int32_t code = 0;      // the store's
  Met met;
  friend bool operator==(const Aside&, const Aside&) = default;
};

// Parked: a key of a unique index that another document holds keeps it out (merge/claims/claim.h).
[[nodiscard]] bool is_parked(const Aside& aside);

// The bytes: FORMATS.md, section 9.2.
[[nodiscard]] std::string encode_aside(const Aside& aside);
// Errors: kCorrupt.
[[nodiscard]] Result<Aside> decode_aside(std::string_view bytes);
}  // namespace outrigger
