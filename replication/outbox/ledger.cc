#include "replication/outbox/ledger.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "replication/outbox/batch.h"
#include "replication/record/bytes.h"
#include "replication/record/record_codec.h"

namespace outrigger {
namespace {

constexpr const char* kResolvedText = "resolved";
constexpr const char* kRevertedText = "reverted";
constexpr int kStampDigits = 16;   // of the name of an entry, in hex
constexpr int kDigestDigits = 12;  // likewise

std::string dot_bytes(const Dot& dot) {
  ByteWriter out;
  out.dot_be(dot);
  return out.take();
}

std::optional<Dot> parse_dot(std::string_view bytes) {
  ByteReader in(bytes, "dot");
  const Dot dot = in.dot_be();
  in.end();
  return in.ok() ? std::optional(dot) : std::nullopt;
}

std::string_view binary_of(const std::optional<bson::Value>& value) {
  return value ? value->binary() : std::string_view();
}

std::string text_of(const std::optional<bson::Value>& value) {
  if (!value || value->type != bson::Type::kString) return {};
  return std::string(value->as_string());
}

LedgerMark mark_of(std::string_view state) {
  if (state == kResolvedText) return LedgerMark::kResolved;
  return state == kRevertedText ? LedgerMark::kReverted : LedgerMark::kNone;
}

const char* reason_of(const merge::Loss& loss) {
  switch (loss.kind) {
    case merge::LossKind::kSetSet:
      if (loss.path.empty()) {
        return "two sites wrote this document without seeing each other; the later one stands "
               "whole";
      }
      return "two sites set this path without seeing each other; the later stamp stands";
    case merge::LossKind::kContainer:
      return "a concurrent write above or below this path has the later stamp";
    case merge::LossKind::kDeleteUpdate:
      return "the document was deleted by a site that had not seen this update";
    case merge::LossKind::kInsertInsert:
      return "two sites inserted this _id; fields only in the earlier one are gone";
    case merge::LossKind::kHiddenCounter:
      return "increments are hidden under a value that is not a number";
    case merge::LossKind::kOverflow:
      return "the sum left the range of a 64-bit integer and was clamped";
    case merge::LossKind::kUpdateDelete:
      return "the document was updated by a site that had not seen this delete, and stays";
    case merge::LossKind::kBounded:
      break;  // by its bounds
  }
  return "";
}

std::string reason_of(const Bounds& bounds) {
  return "the sum of what was added here left bounded" + outrigger::text_of(bounds) +
         ": the bound shows, and what is added from here on counts on the sum";
}

}  // namespace

LedgerEntry ledger_entry(const std::string& ns, const bson::OwnedValue& id,
                         const merge::Loss& loss) {
  LedgerEntry entry;
  entry.time_ms = hlc_ms(std::max(loss.loser.hlc, loss.winner.hlc));
  entry.ns = ns;
  entry.id = id;
  entry.path = loss.path;
  entry.kind = loss_kind_text(loss.kind);
  entry.shape = loss.shape;
  entry.value = loss.value;
  entry.loser = loss.loser;
  entry.winner = loss.winner;
  entry.winning = loss.winning;
  entry.is_element = loss.is_element;
  entry.beside = loss.beside;
  entry.reason = loss.bounds ? reason_of(*loss.bounds) : reason_of(loss);
  if (loss.removal_wins) {
    entry.rule = "set(remove_wins)";
    entry.reason =
        "a site that had not seen this add took an equal value away; the rule of the path "
        "decided: " +
        entry.rule;
  }
  if (loss.rule.is_contest()) {
    const std::string rule = to_text(loss.rule);
    entry.rule = rule.substr(0, rule.find('['));
    entry.reason =
        "two sites set this path without seeing each other; the rule of it decided: " + rule;
    entry.open = loss.rule.kind == ContestKind::kMultiValue;
  }
  return entry;
}

LedgerEntry not_applied_entry(const std::string& ns, const bson::OwnedValue& id,
                              const std::optional<std::string>& document, std::string reason,
                              int64_t wall_ms) {
  LedgerEntry entry;
  entry.time_ms = wall_ms;
  entry.ns = ns;
  entry.id = id;
  entry.kind = kNotApplied;
  entry.shape = document ? Shape::kDocument : Shape::kAbsent;
  if (document) entry.value = bson::make_document(*document);
  entry.reason = std::move(reason);
  return entry;
}

LedgerEntry parked_entry(const std::string& ns, const bson::OwnedValue& id,
                         const std::string& document, const Dot& claim,
                         const std::optional<bson::OwnedValue>& owner) {
  constexpr size_t kShownMax = 100;
  LedgerEntry entry;
  entry.time_ms = hlc_ms(claim.hlc);
  entry.ns = ns;
  entry.id = id;
  entry.kind = kUnique;
  entry.shape = Shape::kDocument;
  entry.value = bson::make_document(document);
  entry.loser = claim;
  entry.winning = owner;
  entry.open = true;
  const std::string holder =
      owner ? "the document with _id " + bson::to_json(owner->view(), kShownMax) : "another one";
  entry.reason = holder +
                 " holds a key of a unique index that this one has, too, and came first; change or "
                 "delete it, and this one is shown";
  return entry;
}

LedgerEntry refused_key_entry(const std::string& ns, const bson::OwnedValue& id,
                              const std::optional<std::string>& document, std::string reason,
                              int64_t wall_ms) {
  LedgerEntry entry = not_applied_entry(ns, id, document, std::move(reason), wall_ms);
  entry.kind = kUnique;
  entry.open = true;
  return entry;
}

LedgerEntry kept_entry(const std::string& ns, const bson::OwnedValue& id, const std::string& index,
                       const std::string& keys, const Dot& claim, const bson::OwnedValue& other,
                       int64_t wall_ms) {
  constexpr size_t kShownMax = 100;
  LedgerEntry entry;
  entry.time_ms = claim.is_zero() ? wall_ms : hlc_ms(claim.hlc);
  entry.ns = ns;
  entry.id = id;
  entry.path = {index};
  entry.kind = kKeptKind;
  entry.value = bson::make_document(keys);
  entry.loser = claim;
  entry.winning = other;
  entry.open = true;
  entry.reason = "it and the document with _id " + bson::to_json(other.view(), kShownMax) +
                 " hold the key " + bson::to_json(bson::Document(keys), kShownMax) +
                 " of the unique index " + index +
                 ", and both are shown (unique: keep); change or delete one of them";
  return entry;
}

std::string record_name(const Dot& dot) {
  return to_hex(dot.origin) + "/" + std::to_string(dot.hlc);
}

LedgerEntry quarantined_entry(const Record& record, std::string reason, int64_t wall_ms) {
  LedgerEntry entry;
  entry.time_ms = wall_ms;
  // The key is made of it: nothing that a peer said unchecked.
  entry.ns = "";
  entry.id = bson::make_string(record_name(record.dot()));
  entry.kind = kQuarantinedKind;
  const std::string bytes = bson::Writer().binary("b", 0, encode_record(record)).finish();
  entry.value = bson::OwnedValue(*bson::Document(bytes).find("b"));
  entry.loser = record.dot();
  entry.reason = std::move(reason);
  return entry;
}

LedgerEntry validator_entry(const std::string& ns, const bson::OwnedValue& id, const Dot& newest,
                            const std::string& words, int64_t wall_ms) {
  LedgerEntry entry;
  entry.time_ms = newest.is_zero() ? wall_ms : hlc_ms(newest.hlc);
  entry.ns = ns;
  entry.id = id;
  entry.kind = kValidatorBypassed;
  entry.shape = Shape::kAbsent;
  entry.winner = newest;
  entry.reason = "stored as it replicates; the validator here would have refused it: " + words;
  return entry;
}

uint64_t ledger_value_hash(const bson::OwnedValue& value) {
  const auto type = static_cast<uint64_t>(value.type);
  return XXH3_64bits_withSeed(value.bytes.data(), value.bytes.size(), type);
}

std::string ledger_key(const LedgerEntry& entry) {
  const Hlc stamp = std::max(entry.loser.hlc, entry.winner.hlc);
  std::string key = outbox::sortable(stamp != 0 ? stamp : hlc_from_ms(entry.time_ms));
  key += outbox::row_key(entry.ns, bson::canonical_key(entry.id.view()));
  for (const std::string& name : entry.path) {
    key += '\0';
    key += name;
  }
  key += '\0';
  key += dot_bytes(entry.loser);
  key += dot_bytes(entry.winner);
  key += entry.kind;
  // No stamp names what nobody recorded, and one update may lose several elements of an array to
  // one other: such a value is told from another one by itself.
  if (entry.kind == kUnrecorded || entry.is_element) {
    key += outbox::sortable(ledger_value_hash(entry.value));
  }
  // The same sum may be of another width at another site.
  if (entry.kind == loss_kind_text(merge::LossKind::kBounded)) {
    const std::string sum = bson::canonical_key(entry.value.view());
    key += outbox::sortable(XXH3_64bits(sum.data(), sum.size()));
  }
  return key;
}

// It is the last of what a key is made of, but for those that are told apart by their values.
bool is_of_kind(std::string_view ledger_key, std::string_view kind) {
  return ledger_key.ends_with(kind);
}

const char* state_text(const LedgerEntry& entry) {
  if (entry.mark == LedgerMark::kResolved) return kResolvedText;
  if (entry.mark == LedgerMark::kReverted) return kRevertedText;
  return entry.open ? "open" : "auto";
}

std::string ledger_name(std::string_view key) {
  const uint64_t digest = XXH3_64bits(key.data(), key.size()) >> (64 - 4 * kDigestDigits);
  return fmt::format("{:0{}x}-{:0{}x}", ledger_stamp(key), kStampDigits, digest, kDigestDigits);
}

std::optional<Hlc> stamp_of_name(std::string_view name) {
  if (name.size() != kStampDigits + 1 + kDigestDigits || name[kStampDigits] != '-') {
    return std::nullopt;
  }
  Hlc stamp = 0;
  const char* const end = name.data() + kStampDigits;
  const auto [last, wrong] = std::from_chars(name.data(), end, stamp, 16);
  return wrong == std::errc{} && last == end ? std::optional(stamp) : std::nullopt;
}

Hlc ledger_stamp(std::string_view key) { return outbox::sortable_tail(key.substr(0, 8)); }

std::string to_text(const LedgerPlace& place) {
  return std::to_string(place.through) + "-" + std::to_string(place.skip);
}

std::optional<LedgerPlace> parse_place(std::string_view text) {
  LedgerPlace place;
  const char* const end = text.data() + text.size();
  const auto [dash, wrong_stamp] = std::from_chars(text.data(), end, place.through);
  if (wrong_stamp != std::errc{} || dash == end || *dash != '-') return std::nullopt;
  const auto [last, wrong_skip] = std::from_chars(dash + 1, end, place.skip);
  if (wrong_skip != std::errc{} || last != end) return std::nullopt;
  return place;
}

std::string encode_ledger(const LedgerEntry& entry) {
  bson::Writer writer;
  writer.date("time", entry.time_ms).string("ns", entry.ns).value("id", entry.id);
  writer.open_array("path");
  for (size_t i = 0; i < entry.path.size(); ++i) {
    writer.string(bson::index_name(i), entry.path[i]);
  }
  writer.close();
  writer.string("kind", entry.kind).int32("shape", static_cast<int32_t>(entry.shape));
  if (entry.value.bytes.empty() && entry.shape == Shape::kAbsent) {
    writer.null("value");
  } else {
    writer.value("value", entry.value);
  }
  writer.binary("loser", 0, dot_bytes(entry.loser)).binary("winner", 0, dot_bytes(entry.winner));
  if (entry.winning) writer.value("winning", *entry.winning);
  writer.string("reason", entry.reason);
  if (entry.open) writer.boolean("open", true);
  if (entry.is_element) writer.boolean("element", true);
  if (entry.beside) writer.value("beside", *entry.beside);
  if (entry.mark != LedgerMark::kNone) writer.string("state", state_text(entry));
  if (entry.replaced) {
    writer.open_document("replaced");
    if (entry.replaced->value) writer.value("value", *entry.replaced->value);
    writer.close();
  }
  if (!entry.decided.is_zero()) writer.binary("decided", 0, dot_bytes(entry.decided));
  if (!entry.loser_app.empty()) writer.string("loser_app", entry.loser_app);
  if (!entry.winner_app.empty()) writer.string("winner_app", entry.winner_app);
  if (!entry.rule.empty()) writer.string("rule", entry.rule);
  return writer.finish();
}

Result<LedgerEntry> decode_ledger(std::string_view bytes) {
  if (Status valid = bson::validate(bytes); !valid) return tl::unexpected(valid.error());
  const bson::Document document(bytes);
  const auto id = document.find("id");
  const auto value = document.find("value");
  const auto time = document.find("time");
  const auto shape = document.find("shape");
  const auto path = document.find("path");
  const std::optional<Dot> loser = parse_dot(binary_of(document.find("loser")));
  const std::optional<Dot> winner = parse_dot(binary_of(document.find("winner")));
  if (!id || !value || !time || time->type != bson::Type::kDate || !shape ||
      shape->type != bson::Type::kInt32 || !path || path->type != bson::Type::kArray || !loser ||
      !winner) {
    return fail(ErrorCode::kCorrupt, "read ledger entry", "",
                "a field is missing or of wrong type");
  }
  LedgerEntry entry;
  std::memcpy(&entry.time_ms, time->bytes.data(), sizeof entry.time_ms);
  entry.ns = text_of(document.find("ns"));
  entry.id = bson::OwnedValue(*id);
  for (const bson::Element& name : path->as_document()) {
    if (name.value.type == bson::Type::kString) entry.path.emplace_back(name.value.as_string());
  }
  entry.kind = text_of(document.find("kind"));
  entry.shape = static_cast<Shape>(shape->as_int32());
  entry.value = bson::OwnedValue(*value);
  entry.loser = *loser;
  entry.winner = *winner;
  if (const auto winning = document.find("winning")) entry.winning = bson::OwnedValue(*winning);
  entry.reason = text_of(document.find("reason"));
  if (const auto open = document.find("open")) entry.open = open->truthy();
  if (const auto element = document.find("element")) entry.is_element = element->truthy();
  const auto beside = document.find("beside");
  if (beside && beside->type == bson::Type::kDocument) entry.beside = bson::OwnedValue(*beside);
  entry.mark = mark_of(text_of(document.find("state")));
  entry.decided = parse_dot(binary_of(document.find("decided"))).value_or(Dot());
  const auto replaced = document.find("replaced");
  if (replaced && replaced->type == bson::Type::kDocument) {
    const auto there = replaced->as_document().find("value");
    entry.replaced.emplace();
    if (there) entry.replaced->value.emplace(*there);
  }
  entry.loser_app = text_of(document.find("loser_app"));
  entry.winner_app = text_of(document.find("winner_app"));
  entry.rule = text_of(document.find("rule"));
  return entry;
}

}  // namespace outrigger
