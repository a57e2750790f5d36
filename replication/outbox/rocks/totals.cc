#include "replication/outbox/rocks/totals.h"

#include <algorithm>

#include "replication/outbox/ledger.h"
#include "replication/record/bytes.h"

namespace outrigger::outbox {
namespace {

std::array<int64_t, 6> in_order(const AllTotals& totals) {
  const auto& [entries, ledger] = totals;
  return {entries.entries,  entries.bytes,       ledger.all.entries,
          ledger.all.bytes, ledger.open.entries, ledger.open.bytes};
}

}  // namespace

Totals& Totals::operator+=(const Totals& more) {
  entries += more.entries;
  bytes += more.bytes;
  return *this;
}

Totals& Totals::operator-=(const Totals& less) {
  entries -= less.entries;
  bytes -= less.bytes;
  return *this;
}

std::string encode_totals(const Totals& totals) {
  ByteWriter out;
  out.u64_be(static_cast<uint64_t>(totals.entries));
  out.u64_be(static_cast<uint64_t>(totals.bytes));
  return out.take();
}

std::optional<Totals> decode_totals(std::string_view bytes) {
  ByteReader in(bytes, "totals");
  Totals totals;
  totals.entries = static_cast<int64_t>(in.u64_be());
  totals.bytes = static_cast<int64_t>(in.u64_be());
  in.end();
  return in.ok() ? std::optional(totals) : std::nullopt;
}

Share share_of(Family family, std::string_view key, std::string_view value) {
  Share share;
  const bool is_ledger = family == Family::kLedger;
  share.all = {1, static_cast<int64_t>(value.size() + (is_ledger ? key.size() : 0))};
  if (!is_ledger) return share;
  const OpenShare open = open_share(key, value);
  share.open = {static_cast<int64_t>(open.entries), static_cast<int64_t>(open.bytes)};
  return share;
}

void RunningTotals::start(const AllTotals& totals) {
  const auto counts = in_order(totals);
  for (size_t i = 0; i < counts.size(); ++i) counts_[i] = counts[i];
}

void RunningTotals::add(const AllTotals& more) {
  const auto counts = in_order(more);
  for (size_t i = 0; i < counts.size(); ++i) counts_[i] += counts[i];
}

Usage RunningTotals::usage() const {
  const auto natural = [&](size_t i) {
    return static_cast<uint64_t>(std::max<int64_t>(0, counts_[i]));
  };
  return {natural(0), natural(1), natural(2), natural(3), natural(4), natural(5)};
}

}  // namespace outrigger::outbox
