// What entries of the ledger are about, and which of them no write can bring back.
#include <fmt/format.h>

#include "replication/bson/bson.h"
#include "replication/outbox/ledger.h"

namespace outrigger {
namespace {

constexpr size_t kShownBytes = 200;  // of a value in a sentence

}  // namespace

const char* loss_kind_text(merge::LossKind kind) {
  switch (kind) {
    case merge::LossKind::kSetSet:
      return "set_set";
    case merge::LossKind::kContainer:
      return "container";
    case merge::LossKind::kDeleteUpdate:
      return "delete_update";
    case merge::LossKind::kInsertInsert:
      return "insert_insert";
    case merge::LossKind::kHiddenCounter:
      return "hidden_counter";
    case merge::LossKind::kOverflow:
      return "overflow";
    case merge::LossKind::kUpdateDelete:
      return "update_delete";
    case merge::LossKind::kBounded:
      return "bounded";
  }
  return "unknown";
}

std::string policy_of_kind(std::string_view kind) {
  using merge::LossKind;
  const auto is = [&](LossKind each) { return kind == loss_kind_text(each); };
  if (is(LossKind::kDeleteUpdate)) return "deletes: delete_wins";
  if (is(LossKind::kUpdateDelete)) return "deletes: update_wins";
  if (is(LossKind::kBounded)) return "bounded";
  if (kind == kUnique) return "unique: park";
  return kind == kKeptKind ? "unique: keep" : "";
}

bool is_loss(std::string_view kind) {
  constexpr auto kLast = static_cast<uint8_t>(merge::LossKind::kBounded);
  for (uint8_t each = 1; each <= kLast; ++each) {
    if (kind == loss_kind_text(static_cast<merge::LossKind>(each))) return true;
  }
  return false;
}

OpenShare open_share(std::string_view key, std::string_view bytes) {
  constexpr std::string_view kOpenField("\x08open\0\x01", 7);
  if (bytes.find(kOpenField) == std::string_view::npos || !bson::validate(bytes)) return {};
  const bson::Document entry(bytes);
  const auto open = entry.find("open");
  if (!open || !open->truthy()) return {};
  const auto kind = entry.find("kind");
  const bool lost = kind && kind->type == bson::Type::kString && is_loss(kind->as_string());
  return {1, lost ? key.size() + bytes.size() : 0};
}

std::string why_not_of_kind(const LedgerEntry& entry) {
  using merge::LossKind;
  const std::string& kind = entry.kind;
  const std::string value = bson::to_json(entry.value.view(), kShownBytes);
  if (kind == loss_kind_text(LossKind::kHiddenCounter)) {
    return fmt::format(
        "what lost is an increment by {}, and what stands there is no number: set "
        "one, then $inc it",
        value);
  }
  if (kind == loss_kind_text(LossKind::kOverflow)) {
    return "what lost is the part of a sum that no number holds: set the value you want";
  }
  if (kind == loss_kind_text(LossKind::kBounded)) {
    return fmt::format(
        "what lost is a sum beyond its bounds, {}, which goes on counting: $inc by what is to be "
        "added to it, or set the value you want, which ends it",
        value);
  }
  if (kind == loss_kind_text(LossKind::kUpdateDelete)) {
    return "what lost is a delete: delete the document, if it is to go";
  }
  if (kind == kNotApplied) {
    return "the store here refuses this document, and it is tried again by itself: change what "
           "the reason names";
  }
  if (kind == kUnique) {
    return "another document holds a key of this one: change or delete that one, and this one is "
           "shown by itself";
  }
  if (kind == kKeptKind) {
    return "both documents are shown, and nothing was lost: change or delete one of them, and this "
           "closes by itself";
  }
  if (kind == kQuarantinedKind) return "it is a record: outriggerctl quarantine retry";
  if (kind == kLeftOut) return "the store here refuses this part of the document: see the reason";
  if (kind == kValidatorBypassed) return "nothing was lost: the document is stored as it is";
  if (kind == kMissing) return "no value was lost: the document is not at this site any more";
  return "";
}

}  // namespace outrigger
