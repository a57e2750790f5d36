#include "replication/outbox/ledger_news.h"

#include <algorithm>
#include <utility>

#include "replication/bson/fields.h"
#include "replication/merge/types/paths.h"

namespace outrigger {
namespace {

constexpr const char* kStep = "read what a site tells of the ledger";
constexpr size_t kReplacedBytesMax = 64 << 10;

std::string_view delete_kind() { return loss_kind_text(merge::LossKind::kDeleteUpdate); }

// Of an entry that is told from others by more than its path.
std::optional<uint64_t> value_hash(const LedgerEntry& entry) {
  return entry.is_element ? std::optional(ledger_value_hash(entry.value)) : std::nullopt;
}

tl::unexpected<Error> corrupt(const char* what) {
  return fail(ErrorCode::kCorrupt, kStep, "", std::string("no ") + what + ", or of another type");
}

// As an entry, so that one who reads entries can read it.
LedgerEntry as_entry(const LedgerDecision& decision) {
  LedgerEntry entry;
  entry.ns = decision.ns;
  entry.id = decision.id;
  entry.path = decision.path;
  entry.kind = decision.kind;
  entry.shape = Shape::kAbsent;
  entry.loser = decision.loser;
  entry.winner = decision.winner;
  entry.mark = decision.mark;
  entry.replaced = decision.replaced;
  return entry;
}

}  // namespace

bool is_shared(const LedgerEntry& entry) { return is_loss(entry.kind) && !entry.loser.is_zero(); }

LedgerDecision decision_about(const LedgerEntry& entry) {
  LedgerDecision decision{entry.ns,     entry.id,          entry.path, entry.kind,    entry.loser,
                          entry.winner, value_hash(entry), entry.mark, entry.replaced};
  const bool had_won = !decision.replaced && entry.winning && entry.mark == LedgerMark::kResolved;
  if (had_won) decision.replaced = Replaced{entry.winning};
  const bool is_large = decision.replaced && decision.replaced->value &&
                        decision.replaced->value->bytes.size() > kReplacedBytesMax;
  if (is_large) decision.replaced.reset();
  return decision;
}

bool is_about(const LedgerDecision& decision, const LedgerEntry& entry) {
  if (!is_shared(entry) || entry.ns != decision.ns || entry.loser != decision.loser ||
      bson::canonical_key(entry.id.view()) != bson::canonical_key(decision.id.view())) {
    return false;
  }
  const bool is_in_whole = decision.kind == delete_kind() && decision.path.empty();
  if (is_in_whole && entry.kind == delete_kind()) return true;
  return entry.path == decision.path && value_hash(entry) == decision.value_hash;
}

bool decide(LedgerEntry& entry, const LedgerDecision& decision, const Dot& by) {
  if (by <= entry.decided) return false;
  entry.decided = by;
  entry.mark = decision.mark;
  entry.open = false;
  const bool puts_back = entry.path == decision.path && entry.mark == LedgerMark::kResolved;
  if (puts_back) entry.replaced = decision.replaced;
  return true;
}

bool is_to_be_told(const LedgerEntry& entry, const SiteId& site) {
  return entry.kind == delete_kind() && entry.path.empty() && entry.shape == Shape::kDocument &&
         entry.loser.origin.site == site &&
         entry.value.bytes.size() + 2 * entry.id.bytes.size() <= kToldBytesMax;
}

std::string encode_news(const LedgerNews& news) {
  bson::Writer writer;
  if (news.decision) {
    writer.value("decided", bson::make_document(encode_ledger(as_entry(*news.decision))));
    if (news.decision->value_hash) {
      writer.int64("value", static_cast<int64_t>(*news.decision->value_hash));
    }
  }
  if (!news.lost.empty()) {
    writer.open_array("lost");
    for (size_t i = 0; i < news.lost.size(); ++i) {
      writer.value(bson::index_name(i), bson::make_document(encode_ledger(news.lost[i])));
    }
    writer.close();
  }
  return writer.finish();
}

Result<LedgerNews> decode_news(std::string_view bytes) {
  if (Status valid = bson::validate(bytes); !valid) return tl::unexpected(valid.error());
  LedgerNews news;
  const bson::Document document(bytes);
  if (const auto decided = document.find("decided")) {
    if (decided->type != bson::Type::kDocument) return corrupt("decision");
    auto entry = decode_ledger(decided->bytes);
    if (!entry) return tl::unexpected(entry.error());
    const bool is_one = entry->mark != LedgerMark::kNone && is_shared(*entry);
    if (!is_one) return corrupt("decision");
    LedgerDecision& decision = news.decision.emplace(decision_about(*entry));
    if (const auto value = document.find("value")) {
      if (value->type != bson::Type::kInt64) return corrupt("value");
      decision.value_hash = static_cast<uint64_t>(*value->to_int64());
    }
  }
  if (const auto lost = document.find("lost")) {
    if (lost->type != bson::Type::kArray) return corrupt("list of what lost");
    for (const bson::Element& each : lost->as_document()) {
      if (each.value.type != bson::Type::kDocument) return corrupt("entry");
      auto entry = decode_ledger(each.value.bytes);
      if (!entry) return tl::unexpected(entry.error());
      const bool is_one = is_to_be_told(*entry, entry->loser.origin.site) && is_shared(*entry) &&
                          entry->value.type == bson::Type::kDocument;
      if (!is_one) return corrupt("document that a delete took");
      entry->open = false;  // the rules here say that
      news.lost.push_back(std::move(*entry));
    }
  }
  return news;
}

}  // namespace outrigger
