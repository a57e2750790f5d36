#include "replication/merge/types/counter.h"

#include <algorithm>
#include <cmath>

#include "replication/bson/decimal128.h"
#include "replication/bson/number.h"
#include "replication/merge/types/register.h"
#include "replication/merge/types/row_maps.h"

namespace outrigger::merge {
namespace {

bool first_before(const CounterEntry& entry, const Dot& first) { return entry.first < first; }

const CounterEntry* find_entry(const CounterEntries& entries, const Dot& first) {
  const auto at = std::lower_bound(entries.begin(), entries.end(), first, first_before);
  return at != entries.end() && at->first == first ? &*at : nullptr;
}

// Adds an entry, or moves it forward; an older state of it changes nothing.
void raise_entry(CounterEntries& entries, const CounterEntry& entry) {
  const auto at = std::lower_bound(entries.begin(), entries.end(), entry.first, first_before);
  if (at == entries.end() || at->first != entry.first) {
    entries.insert(at, entry);
  } else if (at->last < entry.last) {
    *at = entry;
  }
}

// In the kind of the numbers beside it where that says it exactly, and as wide as it must be.
bson::OwnedValue bound_as(bson::Type kind, double bound) {
  const bool is_decimal = kind == bson::Type::kDecimal128;
  const bson::Decimal128 decimal = bson::Decimal128::from_double(bound, 34);
  if (is_decimal && std::isfinite(bound) && bson::compare(bound, decimal) == 0) {
    return {bson::Type::kDecimal128, decimal.reduced().to_bytes()};
  }
  const std::optional<int64_t> whole = bson::integer_of(bound);
  if (!whole || kind == bson::Type::kDouble || is_decimal) return bson::make_double(bound + 0.0);
  const bool is_narrow = kind == bson::Type::kInt32 && *whole >= INT32_MIN && *whole <= INT32_MAX;
  return is_narrow ? bson::make_int32(static_cast<int32_t>(*whole)) : bson::make_int64(*whole);
}

// What shows in place of a sum that lies beyond its bounds.
std::optional<bson::OwnedValue> bound_of(const bson::Value& sum, const Bounds& bounds) {
  const auto order = [&](double to) {
    return bson::compare_numbers(sum, bson::make_double(to).view());
  };
  if (order(NAN) == 0) return std::nullopt;
  if (order(bounds.low) < 0) return bound_as(sum.type, bounds.low);
  if (order(bounds.high) > 0) return bound_as(sum.type, bounds.high);
  return std::nullopt;
}

// Our newest entry with the delta added to its sum, where that is allowed and exact. Nothing: a
// new entry has to be opened, because
//  - a base has covered the old one (its baseline would no longer tell what it had seen), or
//  - the old one is closed: a site may have folded it into a value already, or
//  - the store has just computed (value + delta), and base + sums added in dot order would not
//    give the same bytes: doubles, decimals, and integers that got wider on the way.
std::optional<CounterEntry> extended(const bson::Value& delta, const CounterBase& base,
                                     const CounterEntries& entries, const LocalContext& context) {
  const CounterEntry* mine = nullptr;
  for (const CounterEntry& entry : entries) {
    if (entry.first.origin != context.dot.origin || entry.last <= context.closed) continue;
    if (find_entry(*base.baseline, entry.first) == nullptr) mine = &entry;
  }
  if (mine == nullptr) return std::nullopt;
  const bson::Sum sum = bson::add(mine->sum.view(), delta);
  CounterEntry longer{mine->first, context.dot.hlc, sum.value};
  CounterEntries after = entries;
  after[static_cast<size_t>(mine - entries.data())] = longer;
  const CounterSum was = sum_of(base, entries);
  const CounterSum now = sum_of(base, after);
  const bson::OwnedValue stored =
      was.value ? bson::increment(was.value->view(), delta).value : bson::OwnedValue(delta);
  if (sum.clamped || now.clamped || now.value != stored) return std::nullopt;
  return longer;
}

}  // namespace

std::optional<CounterBase> counter_base(const Register* own) {
  if (own == nullptr) return CounterBase{};
  if (own->content == Content::kAbsent) return CounterBase{std::nullopt, &own->baseline};
  const bool counts = own->content == Content::kValue && own->value.view().is_number();
  if (!counts) return std::nullopt;
  return CounterBase{own->value.view(), &own->baseline};
}

CounterSum sum_of(const CounterBase& base, const CounterEntries& entries) {
  CounterSum sum;
  if (base.number) sum.value = bson::OwnedValue(*base.number);
  for (const CounterEntry& entry : entries) {
    std::optional<bson::OwnedValue> more = gained(entry, *base.baseline);
    if (!more) continue;
    if (sum.newest == nullptr || sum.newest->newest() < entry.newest()) sum.newest = &entry;
    if (!sum.value) {
      sum.value = std::move(more);
      continue;
    }
    bson::Sum longer = bson::increment(sum.value->view(), more->view());
    sum.clamped |= longer.clamped;
    sum.value = std::move(longer.value);
  }
  if (sum.newest != nullptr && sum.newest->bounds) {
    sum.bound = bound_of(sum.value->view(), *sum.newest->bounds);
  }
  return sum;
}

std::optional<bson::OwnedValue> gained(const CounterEntry& entry, const CounterEntries& baseline) {
  const CounterEntry* seen = find_entry(baseline, entry.first);
  if (seen == nullptr) return entry.sum;
  if (seen->last >= entry.last) return std::nullopt;
  return bson::add(entry.sum.view(), bson::negate(seen->sum.view()).view()).value;
}

bool still_counts(const CounterEntry& entry, const CounterEntries& entries,
                  const CounterEntries& baseline) {
  if (find_entry(entries, entry.first) == nullptr) return false;
  const CounterEntry* seen = find_entry(baseline, entry.first);
  return seen == nullptr || seen->last < entry.last;
}

CounterEntry counted(const bson::Value& delta, const Register* own, const CounterEntries& entries,
                     const LocalContext& context) {
  const std::optional<CounterBase> base = counter_base(own);
  std::optional<CounterEntry> longer;
  if (base) longer = extended(delta, *base, entries, context);
  return longer ? *std::move(longer) : new_entry(bson::OwnedValue(delta), context);
}

CounterEntry new_entry(const bson::OwnedValue& delta, const LocalContext& context) {
  return {context.dot, context.dot.hlc, delta};
}

bool may_count(const CounterEntry& entry, const Dot& stamp) {
  return entry.sum.view().is_number() && entry.first.origin == stamp.origin &&
         (!entry.bounds || are_bounds(*entry.bounds));
}

bool may_have_seen(const CounterEntries& baseline) {
  return std::all_of(baseline.begin(), baseline.end(),
                     [](const CounterEntry& entry) { return entry.sum.view().is_number(); });
}

void count(CounterEntries& entries, const CounterEntry& increment, const Authorship& author) {
  CounterEntry entry = increment;
  entry.last = author.stamp.hlc;
  raise_entry(entries, entry);
}

void drop_folded(CounterEntries& entries, const CounterEntries& named, const Authorship& author) {
  std::erase_if(entries, [&](const CounterEntry& entry) {
    return find_entry(named, entry.first) == nullptr && author.observed(entry.newest());
  });
}

void join(CounterEntries& entries, const CounterEntries& others) {
  for (const CounterEntry& entry : others) raise_entry(entries, entry);
}

CounterEntries sorted(CounterEntries entries) {
  std::sort(entries.begin(), entries.end(),
            [](const CounterEntry& a, const CounterEntry& b) { return a.first < b.first; });
  return entries;
}

CounterEntries seen(const CounterEntries& entries) {
  CounterEntries all = entries;
  for (CounterEntry& entry : all) entry.bounds.reset();
  return all;
}

bool tell_bounds(const std::map<Path, CounterEntries>& counters) {
  return std::any_of(counters.begin(), counters.end(), [](const auto& each) {
    return std::any_of(each.second.begin(), each.second.end(),
                       [](const CounterEntry& entry) { return entry.bounds.has_value(); });
  });
}

void write_bounds(RowOut& out, const std::map<Path, CounterEntries>& counters) {
  std::map<Path, std::map<size_t, Bounds>> told;
  for (const auto& [path, entries] : counters) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].bounds) told[path].emplace(i, *entries[i].bounds);
    }
  }
  write_map(out, told, [&](const auto& of_entries) {
    out.varint(of_entries.size());
    for (const auto& [index, bounds] : of_entries) {
      out.varint(index);
      out.bounds(bounds);
    }
  });
}

void read_bounds(RowIn& in, std::map<Path, CounterEntries>& counters) {
  std::map<Path, std::map<size_t, Bounds>> told;
  read_map(in, told, [&](auto& of_entries) {
    for (size_t n = in.items(); n > 0 && in.ok(); --n) {
      const size_t index = in.varint();
      const Bounds bounds = in.bounds();
      if (!are_bounds(bounds)) in.fail("bounds that are none");
      if (!of_entries.empty() && index <= of_entries.rbegin()->first)
        in.fail("bounds out of order");
      of_entries.emplace(index, bounds);
    }
    if (of_entries.empty()) in.fail("bounds of nothing");
  });
  for (const auto& [path, of_entries] : told) {
    const auto entries = counters.find(path);
    const bool are_there = entries != counters.end() && !of_entries.empty() &&
                           of_entries.rbegin()->first < entries->second.size();
    if (!are_there) return in.fail("bounds of nothing");
    for (const auto& [index, bounds] : of_entries) entries->second[index].bounds = bounds;
  }
}

void write(RowOut& out, const CounterEntries& entries) {
  out.varint(entries.size());
  for (const CounterEntry& entry : entries) {
    out.dot(entry.first);
    out.hlc(entry.last);
    out.counted(entry.sum);
  }
}

void read(RowIn& in, CounterEntries& entries) {
  for (size_t n = in.items(); n > 0 && in.ok(); --n) {
    CounterEntry entry;
    entry.first = in.dot();
    entry.last = in.hlc();
    entry.sum = in.counted();
    if (!in.ok()) break;
    if (!entry.sum.view().is_number()) in.fail("sum is no number");
    if (entry.first.is_zero()) in.fail("entry without a name");
    if (!entries.empty() && !(entries.back().first < entry.first)) {
      in.fail("entries out of order");
    }
    entries.push_back(std::move(entry));
  }
}

}  // namespace outrigger::merge
