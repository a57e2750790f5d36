#include "replication/merge/worlds/history.h"

#include <algorithm>
#include <iterator>

#include "replication/bson/fields.h"
#include "replication/bson/number.h"
#include "replication/merge/types/decompose.h"
#include "replication/merge/worlds/merge_world.h"
#include "replication/merge/worlds/set_history.h"

namespace outrigger::merge {
namespace {

std::optional<bson::Value> value_below(const std::optional<bson::Value>& value, const Path& path,
                                       size_t from) {
  std::optional<bson::Value> at = value;
  Path here(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(from));
  for (size_t i = from; i < path.size() && at; ++i) {
    if (!is_container(*at, here)) return std::nullopt;
    at = at->as_document().find(path[i]);
    here.push_back(path[i]);
  }
  return at;
}

bool is_empty(const bson::Value& value) {
  return value.type == bson::Type::kDocument && value.as_document().empty();
}

// Sums of doubles depend on the order, in their last digits.
bool is_same(const bson::Value& a, const bson::Value& b) {
  if (!a.is_number() || !b.is_number()) return bson::to_json(a) == bson::to_json(b);
  const bson::OwnedValue apart = bson::add(a, bson::negate(b).view()).value;
  return bson::compare_numbers(apart.view(), bson::make_double(1e-6).view()) < 0 &&
         bson::compare_numbers(apart.view(), bson::make_double(-1e-6).view()) > 0;
}

bson::OwnedValue within(const Bounds& bounds, bson::OwnedValue sum) {
  const bson::OwnedValue low = bson::make_double(bounds.low);
  const bson::OwnedValue high = bson::make_double(bounds.high);
  if (bson::compare_numbers(sum.view(), low.view()) < 0) return low;
  return bson::compare_numbers(sum.view(), high.view()) > 0 ? high : sum;
}

std::string text_of(const Path& path) { return path.empty() ? "the document" : path_text(path); }

}  // namespace

std::map<std::string, History::Records> History::by_document(
    const std::map<Origin, std::vector<Published>>& log) {
  std::map<std::string, Records> all;
  for (const auto& [origin, published] : log) {
    for (const Published& each : published) {
      std::set<std::string> ids;
      for (const DocumentEffects& document : each.record->documents) {
        ids.insert(id_text(document.id));
      }
      for (const std::string& id : ids) all[id].push_back(each.record.get());
    }
  }
  return all;
}

History::History(const Records& records, const std::string& id, bool has_sets)
    : has_sets_(has_sets) {
  for (const Record* record : records) {
    for (const DocumentEffects& document : record->documents) {
      if (id_text(document.id) != id) continue;
      for (const Effect& effect : document.effects) {
        events_.push_back({record->dot(), &record->deps, &effect});
      }
    }
  }
  std::stable_sort(events_.begin(), events_.end(),
                   [](const Event& a, const Event& b) { return a.at < b.at; });
  for (Event& event : events_) event.touched = standing(&event);
  const std::set<Dot> left = standing(nullptr);
  is_there_ = !left.empty();
  for (Event& event : events_) {
    event.counts = event.effect->is_birth()
                       ? left.contains(event.at)
                       : std::any_of(event.touched.begin(), event.touched.end(),
                                     [&](const Dot& birth) { return left.contains(birth); });
    if (event.counts && event.effect->kind != Operation::kRemove) note(event);
  }
  count();
}

// The births that nothing has ended: of those the viewer had seen or has made, or of all. Whoever
// gave birth to a document had found none.
std::set<Dot> History::standing(const Event* viewer) const {
  const auto is_seen = [&](const Event& each) {
    return viewer == nullptr || viewer->sees(each.at) || (each.at == viewer->at && &each < viewer);
  };
  std::set<Dot> births;
  for (const Event& each : events_) {
    if (each.effect->is_birth() && is_seen(each)) births.insert(each.at);
  }
  std::vector<const Event*> yielding;
  for (const Event& each : events_) {
    const bool removes = each.effect->kind == Operation::kRemove;
    if (!is_seen(each) || (!removes && !each.effect->is_birth())) continue;
    if (each.effect->removal != Removal::kPlain) {
      yielding.push_back(&each);
    } else {
      std::erase_if(births, [&](const Dot& birth) { return each.sees(birth); });
    }
  }
  for (const std::set<Dot>& one : joined(births, yielding)) {
    const auto touches = [&](const Event& each) {
      return is_seen(each) && each.effect->kind != Operation::kRemove &&
             std::any_of(one.begin(), one.end(), [&](const Dot& birth) {
               return each.at == birth || each.touched.contains(birth);
             });
    };
    const auto is_outlived = [&](const Event& each) {
      return std::any_of(yielding.begin(), yielding.end(), [&](const Event* removal) {
        const auto& met = removal->touched;
        const bool meets = std::any_of(one.begin(), one.end(),
                                       [&](const Dot& birth) { return met.contains(birth); });
        return meets && removal->sees(each.at);
      });
    };
    const bool is_gone = std::all_of(events_.begin(), events_.end(), [&](const Event& each) {
      return !touches(each) || is_outlived(each);
    });
    if (is_gone) std::erase_if(births, [&](const Dot& birth) { return one.contains(birth); });
  }
  return births;
}

// Of these births those that were one document to who took it away: together all of what was
// written to them was seen by such removals, or they stand.
std::vector<std::set<Dot>> History::joined(const std::set<Dot>& births,
                                           const std::vector<const Event*>& removals) {
  std::vector<std::set<Dot>> all;
  for (const Event* removal : removals) {
    std::set<Dot> one;
    std::set_intersection(births.begin(), births.end(), removal->touched.begin(),
                          removal->touched.end(), std::inserter(one, one.end()));
    if (one.empty()) continue;
    std::erase_if(all, [&](const std::set<Dot>& other) {
      const bool meet = std::any_of(other.begin(), other.end(),
                                    [&](const Dot& birth) { return one.contains(birth); });
      if (meet) one.insert(other.begin(), other.end());
      return meet;
    });
    all.push_back(std::move(one));
  }
  return all;
}

void History::note(const Event& event) {
  const Effect& effect = *event.effect;
  Path path = path_of_array(effect.path);
  const bool edits = effect.kind == Operation::kEdit || is_into_element(effect.path);
  if (edits || !effect.taken.empty()) arrays_.insert(path);
  if (is_into_element(effect.path)) written_into_.insert(path);
  Dot& newest = newest_[path];
  newest = std::max(newest, event.at);
  if (edits || effect.kind == Operation::kIncrement) return;
  if (effect.kind == Operation::kUnset) {
    given_.push_back({&event, path, std::nullopt});
  } else if (effect.kind == Operation::kWeakBirth) {  // fields of upserts merge
    for_each_leaf(path, effect.value.view(), [&](const Path& at, const bson::Value& value) {
      if (!is_empty(value)) given_.push_back({&event, at, value});
      Dot& there = newest_[at];
      there = std::max(there, event.at);
    });
  } else {
    given_.push_back({&event, path, effect.value.view()});
  }
}

// A record carries the sum of an entry: what one increment added is by how much it has grown.
void History::count() {
  std::map<std::pair<Path, Dot>, const bson::OwnedValue*> sums;
  for (const Event& event : events_) {
    const Effect& effect = *event.effect;
    if (effect.kind != Operation::kIncrement || is_into_element(effect.path)) continue;
    bson::OwnedValue delta = effect.entry.sum;
    const bson::OwnedValue*& before = sums[{effect.path, effect.entry.first}];
    if (before != nullptr)
      delta = bson::add(delta.view(), bson::negate(before->view()).view()).value;
    before = &effect.entry.sum;
    if (event.counts) counted_[effect.path].push_back({&event, std::move(delta)});
  }
}

const History::Given* History::governing(const Path& path) const {
  const Given* latest = nullptr;
  const auto key = [](const Given& each) { return std::pair(each.by->at, each.path.size()); };
  for (const Given& each : given_) {
    if (!has_prefix(path, each.path)) continue;
    if (latest == nullptr || key(*latest) < key(each)) latest = &each;
  }
  return latest;
}

std::optional<Dot> History::newest_below(const Path& path) const {
  std::optional<Dot> newest;
  for (const auto& [at, dot] : newest_) {
    const bool is_below = at.size() > path.size() && has_prefix(at, path);
    if (is_below && (!newest || *newest < dot)) newest = dot;
  }
  return newest;
}

std::set<std::string> History::names_below(const Path& path) const {
  std::set<std::string> names;
  for (const auto& [at, dot] : newest_) {
    if (at.size() > path.size() && has_prefix(at, path)) names.insert(at[path.size()]);
  }
  for (const Given& each : given_) {
    if (!has_prefix(path, each.path)) continue;
    const auto value = value_below(each.value, path, each.path.size());
    if (!value || !is_container(*value, path)) continue;
    for (const bson::Element& field : value->as_document()) names.insert(std::string(field.name));
  }
  return names;
}

// Of the values given to this path by a rule, and not replaced by who had seen them, the one that
// the rule of the newest wants.
const History::Given* History::contending(const Path& path) const {
  std::vector<const Given*> left;
  for (const Given& each : given_) {
    if (each.path != path || !each.by->effect->rule.is_contest()) continue;
    const bool is_replaced = std::any_of(given_.begin(), given_.end(), [&](const Given& other) {
      return has_prefix(path, other.path) && other.by->sees(each.by->at);
    });
    if (!is_replaced) left.push_back(&each);
  }
  if (left.empty()) return nullptr;
  const ContestRule& rule = left.back()->by->effect->rule;  // they stand in the order of stamps
  const auto better = [&](const Given* a, const Given* b) {
    const bool newer = a->by->at > b->by->at;
    if (rule.kind == ContestKind::kFirstWins) return !newer;
    if (rule.kind == ContestKind::kMultiValue) return newer;
    if (!a->value || !b->value)
      return a->value.has_value() == b->value.has_value() ? newer : a->value.has_value();
    const int order = bson::compare_numbers(*a->value, *b->value);
    if (order == 0) return newer;
    return (order > 0) == (rule.kind == ContestKind::kMax);
  };
  return *std::min_element(left.begin(), left.end(), better);
}

History::Shown History::fields(const Path& path) const {
  Shown all;
  all.what = Shown::kFields;
  for (const std::string& name : names_below(path)) {
    if (path.empty() && name == "_id") continue;
    Path below = path;
    below.push_back(name);
    Shown field = shown(below);
    if (field.what != Shown::kAbsent) all.fields.emplace(name, std::move(field));
  }
  return all;
}

// Nothing, where it is no array, or something was written into an element.
History::Shown History::set_shown(const Path& path) const {
  const Given* by = governing(path);
  const auto given = by == nullptr ? std::nullopt : value_below(by->value, path, by->path.size());
  const bool is_array = !given || given->type == bson::Type::kArray;
  if (!is_array || written_into_.contains(path)) return {Shown::kAny};
  SetHistory set;
  for (const Event& each : events_) {
    const bool writes = each.counts && each.effect->path == path;
    if (writes) set.writes.push_back({each.at, each.deps, each.effect});
  }
  for (const Given& each : given_) {
    if (has_prefix(path, each.path)) set.given.push_back({each.by->at, each.by->deps});
  }
  set.array = given;
  if (by != nullptr) set.by = {by->by->at, by->by->deps};
  return {Shown::kSet, {}, set.values()};
}

History::Shown History::shown(const Path& path) const {
  if (arrays_.contains(path)) return has_sets_ ? set_shown(path) : Shown{Shown::kAny};
  if (const Given* chosen = contending(path)) {
    return chosen->value ? Shown{Shown::kValue, bson::OwnedValue(*chosen->value)} : Shown();
  }
  const Given* by = governing(path);
  const Dot at = by == nullptr ? Dot() : by->by->at;
  const std::optional<bson::Value> found =
      by == nullptr ? std::nullopt : value_below(by->value, path, by->path.size());
  const std::optional<Dot> below = newest_below(path);
  const bool is_newer_below = below && *below > at;
  if (path.empty() || is_newer_below || (found && is_container(*found, path)) ||
      (!found && below)) {
    Shown all = fields(path);
    if (!path.empty() && !found && !is_newer_below && all.fields.empty()) return {};
    return all;
  }
  Shown value;
  if (found) value = {Shown::kValue, bson::OwnedValue(*found)};
  const auto counted = counted_.find(path);
  if (counted == counted_.end() || (found && !found->is_number())) return value;
  const Counted* newest = nullptr;
  for (const Counted& each : counted->second) {
    if (by != nullptr && (each.by->at == at || by->by->sees(each.by->at))) continue;
    newest = &each;  // they stand in the order of stamps
    const bool is_first = value.what == Shown::kAbsent;
    value = {Shown::kValue,
             is_first ? each.delta : bson::add(value.value.view(), each.delta.view()).value};
  }
  if (newest != nullptr && newest->by->effect->entry.bounds) {
    value.value = within(*newest->by->effect->entry.bounds, std::move(value.value));
  }
  return value;
}

std::string History::difference(const Shown& wanted, const std::optional<bson::Value>& held,
                                const Path& path) {
  const auto is = [&](const std::string& should) {
    return text_of(path) + " is " + (held ? bson::to_json(*held) : "not there") +
           ", by its history " + should;
  };
  switch (wanted.what) {
    case Shown::kAny:
      return {};
    case Shown::kAbsent:
      return held && !is_empty(*held) ? is("not there") : "";
    case Shown::kSet: {
      const std::string should = SetHistory::why_not(wanted.items, held);
      return should.empty() ? "" : is(should);
    }
    case Shown::kValue: {
      const bool same = held && is_same(*held, wanted.value.view());
      return same ? "" : is(bson::to_json(wanted.value.view()));
    }
    case Shown::kFields:
      break;
  }
  const bool is_document = held && held->type == bson::Type::kDocument;
  if (held && !is_document) return is("a document");
  std::set<std::string> names;
  for (const auto& [name, field] : wanted.fields) names.insert(name);
  if (is_document) {
    for (const bson::Element& field : held->as_document()) names.insert(std::string(field.name));
  }
  for (const std::string& name : names) {
    Path below = path;
    below.push_back(name);
    if (below == Path{"_id"}) continue;
    const auto field = wanted.fields.find(name);
    const auto there = is_document ? held->as_document().find(name) : std::nullopt;
    const Shown nothing;
    const std::string wrong =
        difference(field == wanted.fields.end() ? nothing : field->second, there, below);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

bool History::repeats_names() const {
  return std::any_of(events_.begin(), events_.end(), [](const Event& event) {
    return bson::repeats_names(event.effect->value.view());
  });
}

std::string History::text() const {
  std::string text;
  for (size_t i = 0; i < events_.size(); ++i) {
    const Effect& effect = *events_[i].effect;
    text += std::to_string(i) + " " + to_text(events_[i].at) + " operation " +
            std::to_string(static_cast<int>(effect.kind)) + " " + text_of(effect.path) + " " +
            bson::to_json(effect.value.view());
    if (effect.removal != Removal::kPlain) text += " yields";
    if (effect.kind == Operation::kIncrement) {
      text += " sum " + bson::to_json(effect.entry.sum.view()) + " since " +
              to_text(effect.entry.first);
      if (effect.entry.bounds) text += " within " + outrigger::text_of(*effect.entry.bounds);
    }
    for (const bson::OwnedValue& each : effect.taken)
      text += " takes " + bson::to_json(each.view());
    text += " had seen";
    for (size_t other = 0; other < i; ++other) {
      if (events_[i].sees(events_[other].at)) text += " " + std::to_string(other);
    }
    text += "\n";
  }
  return text;
}

std::string History::why_not(const std::optional<bson::Document>& held) const {
  if (held.has_value() != is_there_) {
    return is_there_ ? "it is not there, by its history it is" : "it is there, by its history not";
  }
  if (!held) return {};
  return difference(shown({}), bson::Value{bson::Type::kDocument, held->bytes()}, {});
}

}  // namespace outrigger::merge
