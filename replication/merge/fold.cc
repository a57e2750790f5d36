// Forgetting a part of what a row holds.
//
// The problem: a row goes once all of it is stable, and a document that somebody always writes to
// never is. Its row would keep every field that was ever taken away and every stretch of
// increments, and each write would take longer than the one before. The idea: what is stable, and
// stands below nothing but what is stable, is seen by whatever is still to come. So it may be left
// to what the document shows there, as if it had come with the container above: its stamp sinks,
// but stays below all that is to come, and nobody asks for more.
//
// Increments become a part of the value they count on in the order in which they are added anyway,
// so that sums come out the same to the last bit at sites that fold at different times. What hides
// something, or is hidden, stays until all of the row goes.
#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/merge/body.h"
#include "replication/merge/inside.h"
#include "replication/merge/types/paths.h"
#include "replication/merge/yields.h"

namespace outrigger::merge {
namespace {

template <typename Map>
bool has_below(const Map& map, const Path& path) {
  const auto at = map.upper_bound(path);
  return at != map.end() && has_prefix(at->first, path);
}
bool anything_below(const Body& body, const Path& path) {
  return has_below(body.registers, path) || has_below(body.counters, path) ||
         has_below(body.lists, path) || has_below(body.contests, path) ||
         has_below(body.asserted, path);
}

// The nearest register above a path; null: there is none.
const Register* nearest_above(const Body& body, Path path, size_t& depth) {
  while (!path.empty()) {
    path.pop_back();
    const auto above = body.registers.find(path);
    depth = path.size();
    if (above != body.registers.end()) return &above->second;
  }
  return nullptr;
}

// Is what lies at a path left to what the nearest container above shows, if that has a register,
// and is that settled?
bool is_left_above(const Body& body, const Path& path, const Settled& settled, Content container) {
  size_t depth = 0;
  const Register* above = nearest_above(body, path, depth);
  return above == nullptr || (above->content == container && settled.has(above->stamp));
}

// Is there nothing at a path, by what stands above it, and is that settled?
bool is_away_above(const Body& body, const Path& path, const Settled& settled) {
  size_t depth = 0;
  const Register* above = nearest_above(body, path, depth);
  if (above == nullptr) return true;  // the document lacks it
  if (!settled.has(above->stamp)) return false;
  if (above->content != Content::kDocument) return true;
  return !bson::PathFinder(above->fields.document()).find(path, depth);
}

// ---- increments

// The first so many of them may become a part of their base.
size_t settled_entries(const CounterEntries& entries, const Settled& settled) {
  const auto open = std::find_if_not(entries.begin(), entries.end(), [&](const CounterEntry& each) {
    return settled.has_closed(each.newest());
  });
  return static_cast<size_t>(open - entries.begin());
}

// Of the first so many of them.
Dot newest_of(const CounterEntries& entries, size_t count) {
  Dot newest;
  for (size_t i = 0; i < count; ++i) newest = std::max(newest, entries[i].newest());
  return newest;
}

// What an author had seen of entries that are no more, and that nobody makes longer.
void forget_seen(CounterEntries& baseline, const CounterEntries& entries, const Settled& settled) {
  std::erase_if(baseline, [&](const CounterEntry& seen) {
    const bool is_there =
        std::any_of(entries.begin(), entries.end(),
                    [&](const CounterEntry& each) { return each.first == seen.first; });
    return !is_there && settled.has_closed(seen.newest());
  });
}

// The register that the entries at a path count on, of its own from now on. Null: what they count
// on may still change, is no number, or something else shows there.
// `newest`: of the entries that are to become a part of it. One that is older than what took away
// the container counts on nothing that a row could tell from that.
Register* settled_base(Body& body, const Path& path, const Dot& newest, const Settled& settled,
                       bool is_shown) {
  const Governor governor = governor_of(body, path);
  const Content container = is_shown ? Content::kShown : Content::kDocument;
  const bool is_left = is_left_above(body, path, settled, container) ||
                       (newest > governor.stamp && is_away_above(body, path, settled));
  if (!settled.has(governor.stamp) || !is_left || body.lists.contains(path) ||
      body.contests.contains(path) || body.asserted.contains(path) || anything_below(body, path)) {
    return nullptr;
  }
  if (governor.is_own) {
    Register* own = &body.registers.at(path);
    const bool counts = counter_base(own).has_value();
    return counts ? own : nullptr;
  }
  if (body.registers.contains(path)) return nullptr;
  Register absent;
  absent.stamp = governor.reg == nullptr ? body.floor_stamp : governor.stamp;
  return settled.has(absent.stamp) ? &body.registers.emplace(path, std::move(absent)).first->second
                                   : nullptr;
}

// Bounds are those of the newest entry that counts: it stays for as long as others stand beside it,
// or the sum beyond its bounds is to be remembered.
size_t without_bounds(const Register& base, const CounterEntries& entries, size_t count) {
  const bool told = std::any_of(entries.begin(), entries.end(),
                                [](const CounterEntry& each) { return each.bounds.has_value(); });
  if (!told) return count;
  const CounterSum now = sum_of(*counter_base(&base), entries);
  if (now.newest == nullptr || (count == entries.size() && !now.bound)) return count;
  return std::min(count, static_cast<size_t>(now.newest - entries.data()));
}

// Nothing of them is left to count: true.
bool fold_entries(Register& base, CounterEntries& entries, size_t count, const Settled& settled) {
  count = without_bounds(base, entries, count);
  if (count == 0) return false;
  const CounterEntries folded(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(count));
  const CounterSum sum = sum_of(*counter_base(&base), folded);
  if (sum.clamped) return false;
  if (sum.value) {
    base.content = Content::kValue;
    base.value = *sum.value;
  }
  // It is not what may have been assigned at its old stamp with something above.
  base.stamp = std::max(base.stamp, newest_of(folded, count));
  entries.erase(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(count));
  forget_seen(base.baseline, entries, settled);
  return entries.empty();
}

// `is_shown`: by the store, so that values need not be kept.
void fold_counters(Body& body, const Settled& settled, bool is_shown) {
  for (auto at = body.counters.begin(); at != body.counters.end();) {
    const size_t count = settled_entries(at->second, settled);
    Register* base = nullptr;
    if (count > 0) {
      base = settled_base(body, at->first, newest_of(at->second, count), settled, is_shown);
    }
    if (base == nullptr || !fold_entries(*base, at->second, count, settled)) {
      ++at;
      continue;
    }
    if (is_shown && base->content == Content::kValue) leave_to_store(*base);
    at = body.counters.erase(at);
  }
  for (auto& [path, reg] : body.registers) {
    const auto entries = body.counters.find(path);
    forget_seen(reg.baseline, entries == body.counters.end() ? kNoEntries : entries->second,
                settled);
  }
}

// ---- values beside each other

// Who is still to come has seen all of them, so it replaces all: what shows is as good as given.
bool is_over(const Body& body, const Path& path, const Contest& contest, const Settled& settled) {
  const auto& all = contest.contenders;
  const auto own = body.registers.find(path);
  return std::all_of(all.begin(), all.end(),
                     [&](const Contender& each) { return settled.has(each.dot); }) &&
         (own == body.registers.end() || settled.has(own->second.stamp)) &&
         is_left_above(body, path, settled, Content::kShown) && !body.counters.contains(path) &&
         !body.lists.contains(path) && !body.asserted.contains(path) && !anything_below(body, path);
}

void fold_contests(Body& body, const Settled& settled) {
  for (auto at = body.contests.begin(); at != body.contests.end();) {
    if (!is_over(body, at->first, at->second, settled)) {
      ++at;
      continue;
    }
    const bool is_absent = chosen(at->second).absent && !union_of(at->second);
    Register shown;
    shown.content = is_absent ? Content::kAbsent : Content::kShown;
    for (const Contender& each : at->second.contenders) {
      shown.stamp = std::max(shown.stamp, each.dot);
    }
    body.registers.insert_or_assign(at->first, std::move(shown));
    at = body.contests.erase(at);
  }
}

// ---- registers

bool is_plain(const Body& body, const Path& path, const Register& reg, const Settled& settled) {
  // A value that came with a container is known for one of a contest by its stamp.
  return !path.empty() && settled.has(reg.stamp) && reg.baseline.empty() && !reg.is_version &&
         !has_below(body.contests, path) && !body.counters.contains(path) &&
         !body.lists.contains(path) && !body.contests.contains(path);
}

// What was taken away, where nothing is there without it either.
void fold_absent(Body& body, const Settled& settled) {
  for (auto at = body.registers.begin(); at != body.registers.end();) {
    const auto& [path, reg] = *at;
    const bool goes = reg.content == Content::kAbsent && is_plain(body, path, reg, settled) &&
                      !body.asserted.contains(path) && !anything_below(body, path) &&
                      is_away_above(body, path, settled);
    at = goes ? body.registers.erase(at) : std::next(at);
  }
}

// What the store shows as if it had come with the container above.
void fold_shown(Body& body, const Settled& settled) {
  const auto is_left = [&](const Path& path) {
    return is_left_above(body, path, settled, Content::kShown);
  };
  for (auto at = body.registers.begin(); at != body.registers.end();) {
    const auto& [path, reg] = *at;
    // Taken away, and there again by what was written below.
    const auto asserted = body.asserted.find(path);
    const bool is_there = reg.content == Content::kAbsent && asserted != body.asserted.end() &&
                          asserted->second > reg.stamp && settled.has(asserted->second);
    const bool goes = (reg.content == Content::kShown || is_there) &&
                      is_plain(body, path, reg, settled) && is_left(path);
    at = goes ? body.registers.erase(at) : std::next(at);
  }
  std::erase_if(body.asserted, [&](const auto& each) {
    return settled.has(each.second) && !body.registers.contains(each.first) && is_left(each.first);
  });
}

// ---- what stands in elements

void fold_inside(ListElement& element, const Settled& settled) {
  bool is_settled = true;
  element.inside->for_each_stamp([&](const Dot& stamp, bool needs_closed) {
    is_settled &= needs_closed ? settled.has_closed(stamp) : settled.has(stamp);
  });
  if (is_settled) return element.inside.reset();  // the value is what it shows
  Body body = body_in(element);
  fold_counters(body, settled, false);
  fold_absent(body, settled);
  element.inside = std::make_shared<ElementBody>(std::move(body));
}

// As an array that was assigned, and of which nothing else was remembered, is named anew.
bool is_named_by_its_array(const List& list) {
  return list.asserted.is_zero() && list.taken.empty() && is_as_assigned(list) &&
         std::all_of(list.elements.begin(), list.elements.end(), [](const ListElement& each) {
           return each.changed.is_zero() && each.inside == nullptr;
         });
}

// What is taken from arrays by who everybody has seen, also from those that were taken away
// themselves. What else hides one stays as it is.
void fold_lists(Body& body, const Settled& settled) {
  for (auto at = body.lists.begin(); at != body.lists.end();) {
    auto& [path, list] = *at;
    const auto own = body.registers.find(path);
    const bool is_gone = own != body.registers.end() && own->second.content == Content::kAbsent;
    const bool is_taken_from = !list.taken.empty() && (!list.hidden || is_gone);
    if (is_taken_from) forget_taken(list, [&](const Dot& by) { return settled.has(by); });
    for (ListElement& each : list.elements) {
      if (each.inside != nullptr) fold_inside(each, settled);
    }
    const bool is_left = own != body.registers.end() && is_left_to_list(own->second);
    const bool is_as_shown = !list.hidden && is_left && is_named_by_its_array(list);
    if (!is_taken_from || !(says_nothing(list) || is_as_shown)) {
      ++at;
      continue;
    }
    if (!list.hidden && is_left) leave_to_store(own->second);
    at = body.lists.erase(at);
  }
}

}  // namespace

void fold(DocumentState& state, const Settled& settled) {
  if (!state.is_sparse() || !state.is_alone() || !state.gone.empty() || state.opaque) return;
  Incarnation& only = state.incarnations.front();
  const bool is_old = std::all_of(only.births.begin(), only.births.end(),
                                  [&](const Dot& birth) { return settled.has(birth); });
  if (!is_old) return;
  only.overwritten = beyond(only.overwritten, settled.stable);
  // Whoever is still to come has seen them.
  Holding& holding = only.holding;
  for (VersionVector* all : {&holding.counts, &holding.keeps, &holding.passes}) {
    *all = beyond(*all, settled.stable);
  }
  fold_shown(only.body, settled);  // else what is counted below may find no base that stays
  fold_contests(only.body, settled);
  fold_counters(only.body, settled, true);
  fold_lists(only.body, settled);
  fold_shown(only.body, settled);
  fold_absent(only.body, settled);
}

}  // namespace outrigger::merge
