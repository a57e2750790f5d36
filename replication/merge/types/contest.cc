#include "replication/merge/types/contest.h"

#include <algorithm>
#include <set>

#include "replication/bson/number.h"
#include "replication/merge/types/author.h"

namespace outrigger::merge {
namespace {

constexpr uint8_t kAbsent = 0;
constexpr uint8_t kPresent = 1;

// The kinds of values as MongoDB sorts them.
int kind_of(bson::Type type) {
  switch (type) {
    case bson::Type::kMinKey:
      return 0;
    case bson::Type::kUndefined:
    case bson::Type::kNull:
      return 1;
    case bson::Type::kInt32:
    case bson::Type::kInt64:
    case bson::Type::kDouble:
    case bson::Type::kDecimal128:
      return 2;
    case bson::Type::kString:
    case bson::Type::kSymbol:
      return 3;
    case bson::Type::kDocument:
      return 4;
    case bson::Type::kArray:
      return 5;
    case bson::Type::kBinary:
      return 6;
    case bson::Type::kObjectId:
      return 7;
    case bson::Type::kBool:
      return 8;
    case bson::Type::kDate:
      return 9;
    case bson::Type::kTimestamp:
      return 10;
    case bson::Type::kRegex:
      return 11;
    case bson::Type::kDbPointer:
      return 12;
    case bson::Type::kCode:
      return 13;
    case bson::Type::kCodeWithScope:
      return 14;
    case bson::Type::kMaxKey:
      return 15;
  }
  return 15;
}

template <typename T>
int compare(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

uint64_t little_endian(bson::Bytes bytes) {
  uint64_t number = 0;
  for (size_t i = std::min<size_t>(bytes.size(), 8); i-- > 0;) {
    number = number << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return number;
}

int compare_fields(const bson::Document& a, const bson::Document& b, bool named) {
  auto left = a.begin();
  auto right = b.begin();
  for (; left != a.end() && right != b.end(); ++left, ++right) {
    int order = compare(kind_of(left->value.type), kind_of(right->value.type));
    if (order == 0 && named) order = left->name.compare(right->name);
    if (order == 0) order = compare_values(left->value, right->value);
    if (order != 0) return order;
  }
  return left != a.end() ? 1 : right != b.end() ? -1 : 0;
}

// Characters, as far as it is UTF-8.
size_t length_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

bool is_text(const Contender& of) { return of.value.type == bson::Type::kString; }

// One more than the place of what is preferred, and of all others zero.
size_t place_in(const std::vector<std::string>& all, std::string_view name) {
  return static_cast<size_t>(all.rend() - std::find(all.rbegin(), all.rend(), name));
}
size_t preference(const Contender& of, const ContestRule& rule) {
  if (rule.kind == ContestKind::kSite) return place_in(rule.preferred, of.rule.author);
  return is_text(of) ? place_in(rule.preferred, of.value.view().as_string()) : 0;
}

// Above zero: `a` goes before `b`, which is older. Two that are there.
int compare_by(const ContestRule& rule, const Contender& a, const Contender& b) {
  switch (rule.kind) {
    case ContestKind::kMax:
      return compare_values(a.value.view(), b.value.view());
    case ContestKind::kMin:
      return compare_values(b.value.view(), a.value.view());
    case ContestKind::kPrefer:
    case ContestKind::kSite:
      return compare(preference(a, rule), preference(b, rule));
    case ContestKind::kLongest:
      if (!is_text(a) || !is_text(b)) return compare(is_text(a), is_text(b));
      return compare(length_of(a.value.view().as_string()), length_of(b.value.view().as_string()));
    case ContestKind::kNone:
    case ContestKind::kFirstWins:
    case ContestKind::kMultiValue:
    case ContestKind::kUnion:
      break;
  }
  return 0;
}

// Of equal ones the newer goes first.
bool goes_before(const ContestRule& rule, const Contender& newer, const Contender& older) {
  if (rule.kind == ContestKind::kFirstWins) return false;
  if (rule.kind == ContestKind::kMultiValue) return true;
  if (newer.absent != older.absent) return older.absent;
  return newer.absent || compare_by(rule, newer, older) >= 0;
}

void put(Contest& contest, Contender&& fresh) {
  auto& all = contest.contenders;
  const auto at =
      std::lower_bound(all.begin(), all.end(), fresh.dot,
                       [](const Contender& each, const Dot& dot) { return each.dot < dot; });
  if (at != all.end() && at->dot == fresh.dot) {
    *at = std::move(fresh);  // one commit: what it said last
  } else {
    all.insert(at, std::move(fresh));
  }
}

bool are_equal(const Contender& a, const Contender& b) {
  return compare_values(a.value.view(), b.value.view()) == 0;
}

// Takes elements, each once, as long as there is room.
class Uniter {
 public:
  void add(const bson::Value& value) {
    if (!has_room() || !known_.insert(value).second) return;
    constexpr size_t kAround = 16;  // of its name and type
    bytes_ += value.bytes.size() + kAround;
    if (has_room()) out_.value(bson::index_name(known_.size() - 1), value);
  }
  [[nodiscard]] bool has_room() const { return bytes_ <= kUnionBytesMax; }
  [[nodiscard]] bson::OwnedValue take() { return {bson::Type::kArray, out_.finish()}; }

 private:
  struct Before {
    bool operator()(const bson::Value& a, const bson::Value& b) const {
      return compare_values(a, b) < 0;
    }
  };
  std::set<bson::Value, Before> known_;
  bson::Writer out_;
  size_t bytes_ = 0;
};

// In an array it lies one level deeper.
bool fits_in_array(const bson::Value& value) {
  const bool nests = value.type == bson::Type::kDocument;
  return !nests || bson::validate(value.bytes, kUnionDepthMax).has_value();
}

}  // namespace

int compare_values(const bson::Value& a, const bson::Value& b) {
  const int order = compare(kind_of(a.type), kind_of(b.type));
  if (order != 0) return order;
  switch (a.type) {
    case bson::Type::kInt32:
    case bson::Type::kInt64:
    case bson::Type::kDouble:
    case bson::Type::kDecimal128:
      return bson::compare_numbers(a, b);
    case bson::Type::kString:
    case bson::Type::kSymbol:
    case bson::Type::kCode:
      return a.as_string().compare(b.as_string());
    case bson::Type::kDocument:
    case bson::Type::kArray:
      return compare_fields(a.as_document(), b.as_document(), a.type == bson::Type::kDocument);
    case bson::Type::kDate:
      return compare(static_cast<int64_t>(little_endian(a.bytes)),
                     static_cast<int64_t>(little_endian(b.bytes)));
    case bson::Type::kTimestamp:
      return compare(little_endian(a.bytes), little_endian(b.bytes));
    case bson::Type::kBinary: {
      const int sizes = compare(a.bytes.size(), b.bytes.size());
      return sizes != 0 ? sizes : a.bytes.compare(b.bytes);
    }
    case bson::Type::kUndefined:
    case bson::Type::kNull:
    case bson::Type::kMinKey:
    case bson::Type::kMaxKey:
      return 0;
    case bson::Type::kObjectId:
    case bson::Type::kBool:
    case bson::Type::kRegex:
    case bson::Type::kDbPointer:
    case bson::Type::kCodeWithScope:
      break;
  }
  return a.bytes.compare(b.bytes);
}

void contend(Contest& contest, const Effect& effect, const Authorship& author) {
  drop_observed(contest, author);
  Contender fresh;
  fresh.dot = author.stamp;
  fresh.absent = effect.kind == Operation::kUnset;
  if (!fresh.absent) fresh.value = effect.value;
  fresh.rule = effect.rule;
  put(contest, std::move(fresh));
}

void drop_observed(Contest& contest, const Authorship& author) {
  std::erase_if(contest.contenders, [&](const Contender& each) {
    return each.dot != author.stamp && author.observed(each.dot);
  });
}

void join(Contest& contest, const Contest& other) {
  for (Contender each : other.contenders) put(contest, std::move(each));
}

const Contender& chosen(const Contest& contest) {
  const auto& all = contest.contenders;
  const ContestRule& rule = all.back().rule;
  const Contender* best = &all.front();
  for (const Contender& each : all) {
    if (&each != best && goes_before(rule, each, *best)) best = &each;
  }
  return *best;
}

std::optional<bson::OwnedValue> union_of(const Contest& contest) {
  const auto& all = contest.contenders;
  if (all.back().rule.kind != ContestKind::kUnion) return std::nullopt;
  const Contender& newest = chosen(contest);
  const bool is_alone = std::all_of(all.begin(), all.end(), [&](const Contender& each) {
    return each.absent || are_equal(each, newest);
  });
  if (is_alone) return std::nullopt;
  Uniter united;
  for (const Contender& each : all) {
    if (each.absent) continue;
    const bson::Value value = each.value.view();
    if (value.type != bson::Type::kArray) {
      if (!fits_in_array(value)) return std::nullopt;
      united.add(value);
    } else {
      for (const bson::Element& element : value.as_document()) united.add(element.value);
    }
    if (!united.has_room()) return std::nullopt;
  }
  return united.take();
}

bool has_given(const Contest& contest, const Dot& dot) {
  const auto& all = contest.contenders;
  return std::any_of(all.begin(), all.end(),
                     [&](const Contender& each) { return each.dot == dot && !each.absent; });
}

void write(RowOut& out, const Contest& contest) {
  out.varint(contest.contenders.size());
  for (const Contender& each : contest.contenders) {
    out.dot(each.dot);
    out.u8(each.absent ? kAbsent : kPresent);
    if (!each.absent) out.counted(each.value);
    outrigger::write(out, each.rule);
  }
}

void read(RowIn& in, Contest& contest) {
  for (size_t n = in.items(); n > 0 && in.ok(); --n) {
    Contender each;
    each.dot = in.dot();
    const uint8_t content = in.u8();
    if (content > kPresent) in.fail("unknown content of a contest");
    each.absent = content == kAbsent;
    if (!each.absent) each.value = in.counted();
    outrigger::read(in, each.rule);
    const auto& all = contest.contenders;
    if (each.dot.is_zero() || (!all.empty() && !(all.back().dot < each.dot))) {
      in.fail("contenders out of order");
    }
    contest.contenders.push_back(std::move(each));
  }
  if (contest.contenders.empty()) in.fail("a contest of nobody");
}

}  // namespace outrigger::merge
