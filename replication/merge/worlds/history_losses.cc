#include "replication/merge/worlds/history_losses.h"

#include <algorithm>

#include "replication/merge/types/decompose.h"
#include "replication/record/path.h"

namespace outrigger::merge {
namespace {

std::optional<bson::Value> value_at(const bson::Value& value, const Path& path, size_t from = 0) {
  if (from == path.size()) return value;
  if (value.type != bson::Type::kDocument) return std::nullopt;
  const auto below = value.as_document().find(path[from]);
  return below ? value_at(*below, path, from + 1) : std::nullopt;
}

std::string text_of(const std::vector<Loss>& noted) {
  std::string text = " is lost, and this is noted:";
  for (const Loss& loss : noted) {
    text += "\n" + path_text(loss.path) + " " + bson::to_json(loss.value.view()) + " of " +
            to_text(loss.loser) + " to " + to_text(loss.winner);
  }
  return text;
}

}  // namespace

bool HistoryLosses::is_incremented(const Path& path) const {
  return std::any_of(events_.begin(), events_.end(), [&](const Event& each) {
    return each.effect->path == path && each.effect->kind == Operation::kIncrement;
  });
}

std::vector<HistoryLosses::Written> HistoryLosses::all_written() const {
  std::vector<Written> all;
  for (const Event& event : events_) {
    const Effect& effect = *event.effect;
    const bool gives = effect.kind == Operation::kAssign || effect.is_birth();
    if (!gives || is_into_element(effect.path)) continue;
    Path path = effect.path;
    for_each_leaf(path, effect.value.view(), [&](const Path& at, const bson::Value& value) {
      const bool is_empty = value.type == bson::Type::kDocument && value.as_document().empty();
      const bool is_added_to = value.is_number() && is_incremented(at);
      if (!is_empty && !is_added_to && at != Path{"_id"}) all.push_back({&event, at, value});
    });
  }
  return all;
}

bool HistoryLosses::is_replaced(const Written& one) const {
  return std::any_of(events_.begin(), events_.end(), [&](const Event& each) {
    if (!each.sees(one.by->at)) return false;
    const Effect& effect = *each.effect;
    if (effect.kind == Operation::kRemove || effect.is_birth()) return true;
    const bool gives = effect.kind == Operation::kAssign || effect.kind == Operation::kUnset;
    return gives && has_prefix(one.path, effect.path);
  });
}

// Is it in a container that shows, or that is noted? A number on which others count shows in the
// sum, what unites with others as elements of what shows.
bool HistoryLosses::is_in(const bson::Value& container, const Path& below,
                          const Written& one) const {
  const auto value = value_at(container, below);
  if (!value || *value == one.value) return value.has_value();
  const auto is_done = [&](const auto& how) {
    return std::any_of(events_.begin(), events_.end(), [&](const Event& each) {
      return each.effect->path == one.path && how(*each.effect);
    });
  };
  if (value->is_number() && one.value.is_number()) {
    return is_done([](const Effect& each) { return each.kind == Operation::kIncrement; });
  }
  const bool unites = value->type == bson::Type::kArray && is_done([](const Effect& each) {
                        return each.rule.kind == ContestKind::kUnion;
                      });
  if (!unites) return false;
  const auto all = values_in(*value);
  const auto parts = one.value.type == bson::Type::kArray
                         ? values_in(one.value)
                         : std::vector<bson::OwnedValue>{bson::OwnedValue(one.value)};
  return std::all_of(parts.begin(), parts.end(), [&](const bson::OwnedValue& part) {
    return std::find(all.begin(), all.end(), part) != all.end();
  });
}

bool HistoryLosses::still_shows(const Written& one,
                                const std::optional<bson::Document>& held) const {
  if (!held || !is_in({bson::Type::kDocument, held->bytes()}, one.path, one)) return false;
  const auto shown = value_at({bson::Type::kDocument, held->bytes()}, one.path);
  const History::Given* by = history_.governing(one.path);
  return !shown->is_number() || *shown == one.value || (by != nullptr && by->by == one.by);
}

bool HistoryLosses::is_noted(const Written& one, const std::vector<Loss>& noted) const {
  return std::any_of(noted.begin(), noted.end(), [&](const Loss& loss) {
    if (loss.is_element || !has_prefix(one.path, loss.path)) return false;
    if (loss.loser == one.by->at) return true;
    const Path below(one.path.begin() + static_cast<std::ptrdiff_t>(loss.path.size()),
                     one.path.end());
    return loss.loser > one.by->at && is_in(loss.value.view(), below, one);
  });
}

// An increment that does not count in a number, and was not replaced by who had seen it.
std::string HistoryLosses::not_noted_counter(const std::optional<bson::Document>& held,
                                             const std::vector<Loss>& noted) const {
  for (const Event& event : events_) {
    const Effect& effect = *event.effect;
    if (effect.kind != Operation::kIncrement || is_into_element(effect.path)) continue;
    const Written one{&event, effect.path, effect.entry.sum.view()};
    const auto shown =
        held ? value_at({bson::Type::kDocument, held->bytes()}, one.path) : std::nullopt;
    if ((shown && shown->is_number()) || is_replaced(one)) continue;
    const bool is_told = std::any_of(noted.begin(), noted.end(), [&](const Loss& loss) {
      if (loss.is_element || !has_prefix(one.path, loss.path) || loss.loser < event.at)
        return false;
      if (loss.path == one.path) return loss.loser.origin == event.at.origin;
      const Path below(one.path.begin() + static_cast<std::ptrdiff_t>(loss.path.size()),
                       one.path.end());
      return is_in(loss.value.view(), below, one);
    });
    if (!is_told)
      return "what was added to " + path_text(one.path) + " by " + to_text(event.at) +
             text_of(noted);
  }
  return {};
}

std::string HistoryLosses::not_noted(const std::optional<bson::Document>& held,
                                     const std::vector<Loss>& noted) const {
  std::set<Path> arrays;
  for (const Event& each : events_) {
    const Effect& effect = *each.effect;
    if (effect.removal != Removal::kPlain) return {};
    const bool edits = effect.kind == Operation::kEdit || is_into_element(effect.path);
    if (edits || !effect.taken.empty()) arrays.insert(path_of_array(effect.path));
  }
  if (std::string hidden = not_noted_counter(held, noted); !hidden.empty()) return hidden;
  const std::vector<Written> all = all_written();
  const auto is_told = [&](const Written& one) {
    return still_shows(one, held) || is_replaced(one) || is_noted(one, noted);
  };
  for (const Written& one : all) {
    if (arrays.contains(one.path) || is_told(one)) continue;
    const bool has_twin = std::any_of(all.begin(), all.end(), [&](const Written& other) {
      return other.path == one.path && other.value == one.value && is_told(other);
    });
    if (has_twin) continue;
    return path_text(one.path) + " " + bson::to_json(one.value) + " of " + to_text(one.by->at) +
           text_of(noted);
  }
  return {};
}

}  // namespace outrigger::merge
