#include "replication/merge/types/taken.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <unordered_map>

#include "replication/merge/types/author.h"
#include "replication/merge/types/list.h"

namespace outrigger::merge {
namespace {

constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;

uint64_t key_hash(bson::Bytes bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

// Equal values have equal ones, whatever the order of fields.
uint64_t key_hash(const bson::Value& value, int depth = 0) {
  const auto type = static_cast<uint64_t>(value.type);
  const bool is_document = value.type == bson::Type::kDocument;
  const bool has_fields = is_document || value.type == bson::Type::kArray;
  if (!has_fields || depth > bson::kDepthMax) return key_hash(value.bytes, type);
  uint64_t hash = type;
  for (const bson::Element& each : value.as_document()) {
    const uint64_t of_value = key_hash(each.value, depth + 1);
    hash += is_document ? key_hash(each.name, of_value) : hash * kOdd + of_value;
  }
  return hash;
}

}  // namespace

bool are_equal(const bson::Value& a, const bson::Value& b) {
  const bool have_fields = a.type == bson::Type::kDocument || a.type == bson::Type::kArray;
  if (!have_fields || b.type != a.type) return a == b;
  return bson::equal_unordered(a.as_document(), b.as_document());
}

std::vector<bson::OwnedValue> taken_between(const bson::Value& before, const bson::Value& after) {
  std::vector<bson::OwnedValue> taken;
  if (before.type != bson::Type::kArray) return taken;
  std::unordered_multimap<uint64_t, bson::Value> left;  // and what was told already
  if (after.type == bson::Type::kArray) {
    for (const bson::Element& each : after.as_document()) {
      left.emplace(key_hash(each.value), each.value);
    }
  }
  for (const bson::Element& each : before.as_document()) {
    const uint64_t hash = key_hash(each.value);
    const auto [first, end] = left.equal_range(hash);
    const bool is_left = std::any_of(
        first, end, [&](const auto& other) { return are_equal(other.second, each.value); });
    if (is_left) continue;
    taken.emplace_back(each.value);
    left.emplace(hash, each.value);
  }
  return taken;
}

TakenValues::TakenValues(const List& list) {
  for (const TakenValue& each : list.taken) by_hash_.emplace(key_hash(each.value.view()), &each);
}

std::vector<Dot> TakenValues::against(const ListElement& element) const {
  std::vector<Dot> all;
  if (by_hash_.empty()) return all;
  const auto [first, end] = by_hash_.equal_range(key_hash(element.value.view()));
  std::for_each(first, end, [&](const auto& each) {
    const TakenValue& taken = *each.second;
    const bool is_seen = element.after.covers(taken.by);
    if (!is_seen && are_equal(taken.value.view(), element.value.view())) all.push_back(taken.by);
  });
  return all;
}

bool TakenValues::has(const ListElement& element) const { return !against(element).empty(); }

bool is_anything_left(const List& list) {
  const TakenValues taken(list);
  return std::any_of(list.elements.begin(), list.elements.end(),
                     [&](const ListElement& each) { return !taken.has(each); });
}

void take_away(List& list, const std::vector<bson::OwnedValue>& values, const Dot& by) {
  std::vector<TakenValue> taken;
  for (const bson::OwnedValue& each : values) taken.push_back({by, each});
  join_taken(list, taken);
}

// One of each author and value is enough: who has seen the later one has seen the others.
void join_taken(List& list, const std::vector<TakenValue>& taken) {
  if (taken.empty()) return;
  std::unordered_multimap<uint64_t, size_t> known;
  for (const TakenValue& each : list.taken) {
    known.emplace(key_hash(each.value.view()), known.size());
  }
  for (const TakenValue& fresh : taken) {
    const uint64_t hash = key_hash(fresh.value.view());
    const auto [first, end] = known.equal_range(hash);
    const auto same = std::find_if(first, end, [&](const auto& each) {
      const TakenValue& other = list.taken[each.second];
      return other.by.origin == fresh.by.origin &&
             are_equal(other.value.view(), fresh.value.view());
    });
    if (same != end) {
      Dot& last = list.taken[same->second].by;
      last = std::max(last, fresh.by);
      continue;
    }
    known.emplace(hash, list.taken.size());
    list.taken.push_back(fresh);
  }
  std::stable_sort(list.taken.begin(), list.taken.end(),
                   [](const TakenValue& a, const TakenValue& b) { return a.by < b.by; });
}

void note_removals_seen(VersionVector& seen, const List& list, const Authorship& author) {
  for (const TakenValue& each : list.taken) {
    if (author.saw(each.by)) seen.raise(each.by.origin, each.by.hlc);
  }
}

void forget_taken(List& list, const std::function<bool(const Dot&)>& is_over) {
  if (!list.taken.empty()) {
    const TakenValues taken(list);
    const auto goes = [&](const ListElement& each) {
      const std::vector<Dot> against = taken.against(each);
      return std::any_of(against.begin(), against.end(), is_over);
    };
    list.index.forget();
    std::erase_if(list.elements, goes);
    std::erase_if(list.taken, [&](const TakenValue& each) { return is_over(each.by); });
  }
  if (!list.taken.empty()) return;
  for (ListElement& each : list.elements) each.after = {};
}

}  // namespace outrigger::merge
