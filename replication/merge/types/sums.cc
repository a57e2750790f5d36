#include "replication/merge/types/sums.h"

#include <algorithm>
#include <utility>

namespace outrigger::merge {
namespace {

constexpr uint8_t kNoNumber = 0;  // in the place of its type

bool is_whole(bson::Type type) { return type == bson::Type::kInt32 || type == bson::Type::kInt64; }

void write_amount(RowOut& out, const bson::OwnedValue& number) {
  if (is_whole(number.type)) {
    out.varint(zigzag(*number.view().to_int64()));
  } else {
    out.raw(number.bytes);
  }
}

void write_number(RowOut& out, const bson::OwnedValue& number) {
  out.u8(static_cast<uint8_t>(number.type));
  write_amount(out, number);
}

bson::OwnedValue read_number(RowIn& in, uint8_t type_code) {
  const auto type = static_cast<bson::Type>(type_code);
  if (!is_whole(type)) {
    const bool is_number = type == bson::Type::kDouble || type == bson::Type::kDecimal128;
    if (!is_number) in.fail("number of no type");
    const std::string_view bytes =
        is_number ? in.raw(static_cast<size_t>(fixed_value_bytes(type))) : std::string_view();
    return {type, std::string(bytes)};
  }
  const int64_t number = unzigzag(in.varint());
  if (type == bson::Type::kInt64) return bson::make_int64(number);
  if (!std::in_range<int32_t>(number)) in.fail("number too large for its type");
  return bson::make_int32(static_cast<int32_t>(number));
}

constexpr uint64_t kCounterMask = (uint64_t{1} << kHlcCounterBits) - 1;
constexpr uint64_t kMsMax = UINT64_MAX >> kHlcCounterBits;

// Milliseconds, whether a counter follows, and `flags` below it.
void write_time(RowOut& out, uint64_t ms, Hlc at, int flag_bits = 0, uint64_t flags = 0) {
  const uint64_t counter = at & kCounterMask;
  out.varint((ms << 1 | (counter != 0 ? 1 : 0)) << flag_bits | flags);
  if (counter != 0) out.varint(counter);
}
void write_before(RowOut& out, Hlc at, int flag_bits = 0, uint64_t flags = 0) {
  const auto ms = static_cast<uint64_t>(hlc_ms(out.newest) - hlc_ms(at));
  write_time(out, ms, at, flag_bits, flags);
}

struct ReadTime {
  uint64_t ms = 0;
  uint64_t counter = 0;
  uint64_t flags = 0;
};
ReadTime read_time(RowIn& in, int flag_bits = 0) {
  const uint64_t head = in.varint();
  ReadTime time{head >> flag_bits >> 1, 0, head & ((uint64_t{1} << flag_bits) - 1)};
  if ((head >> flag_bits & 1) != 0) {
    time.counter = in.varint();
    if (time.counter == 0 || time.counter > kCounterMask) in.fail("counter of a stamp");
  }
  return time;
}
Hlc hlc_before(RowIn& in, const ReadTime& time) {
  const auto newest_ms = static_cast<uint64_t>(hlc_ms(in.newest));
  if (time.ms > newest_ms) in.fail("stamp before all time");
  if (!in.ok()) return 0;
  const Hlc at = (newest_ms - time.ms) << kHlcCounterBits | time.counter;
  if (at == 0) in.fail("stamp of zero");
  if (at > in.newest) in.fail("stamp after the newest");
  return at;
}

constexpr int kAloneFlagBits = 2;
constexpr uint64_t kGoesOnFlag = 1;
constexpr uint64_t kOtherTypeFlag = 2;  // than the number before

}  // namespace

bool is_old_number(const Register& reg) {
  return reg.stamp.is_zero() && reg.content == Content::kValue && reg.value.view().is_number() &&
         reg.baseline.empty() && !reg.is_version;
}

Register old_number(bson::OwnedValue number) {
  Register reg;
  reg.content = Content::kValue;
  reg.value = std::move(number);
  return reg;
}

void write(RowOut& out, const ShownSums& sums) {
  if (sums.base == nullptr) {
    out.u8(kNoNumber);
  } else {
    write_number(out, *sums.base);
  }
  out.varint(sums.entries.size());
  for (const CounterEntry& entry : sums.entries) {
    const bool goes_on = entry.last != entry.first.hlc;
    out.varint(out.index_of(entry.first.origin) << 1 | (goes_on ? 1 : 0));
    out.hlc(entry.first.hlc);
    if (goes_on) out.hlc(entry.last);
    write_number(out, entry.sum);
  }
}

void read(RowIn& in, Sums& sums) {
  const uint8_t base = in.u8();
  if (base != kNoNumber) sums.base = read_number(in, base);
  for (size_t n = in.items(); n > 0 && in.ok(); --n) {
    CounterEntry entry;
    const uint64_t head = in.varint();
    if (head >> 1 >= in.origins.size()) return in.fail("unknown origin");
    entry.first.origin = in.origins[head >> 1];
    entry.first.hlc = entry.last = in.hlc();
    if ((head & 1) != 0) entry.last = in.hlc();
    if ((head & 1) != 0 && entry.last == entry.first.hlc) in.fail("entry that goes on nowhere");
    entry.sum = read_number(in, in.u8());
    if (!in.ok()) return;
    if (!sums.entries.empty() && !(sums.entries.back().first < entry.first)) {
      in.fail("entries out of order");
    }
    sums.entries.push_back(std::move(entry));
  }
  if (sums.entries.empty()) in.fail("counter without entries");
}

bool is_one_an_origin(const CounterEntries& entries) {
  std::vector<Origin> origins;
  for (const CounterEntry& each : entries) origins.push_back(each.first.origin);
  std::sort(origins.begin(), origins.end());
  return std::adjacent_find(origins.begin(), origins.end()) == origins.end();
}

void write_clock(RowOut& out) {
  write_time(out, static_cast<uint64_t>(hlc_ms(out.newest)), out.newest);
}

void read_clock(RowIn& in) {
  const ReadTime time = read_time(in);
  if (time.ms > kMsMax) in.fail("clock out of range");
  in.newest = in.ok() ? time.ms << kHlcCounterBits | time.counter : 0;
}

void write_alone(RowOut& out, const ShownSums& sums) {
  std::vector<const CounterEntry*> by_origin;
  for (const CounterEntry& each : sums.entries) by_origin.push_back(&each);
  std::sort(by_origin.begin(), by_origin.end(), [](const auto* one, const auto* other) {
    return one->first.origin < other->first.origin;
  });
  if (sums.base == nullptr) {
    out.u8(kNoNumber);
  } else {
    write_number(out, *sums.base);
  }
  auto type = sums.base == nullptr ? bson::Type{} : sums.base->type;
  for (const CounterEntry* entry : by_origin) {
    const bool goes_on = entry->last != entry->first.hlc;
    const bool changes = entry->sum.type != type;
    write_before(out, entry->first.hlc, kAloneFlagBits,
                 (goes_on ? kGoesOnFlag : 0) | (changes ? kOtherTypeFlag : 0));
    if (goes_on) write_before(out, entry->last);
    type = entry->sum.type;
    if (changes) out.u8(static_cast<uint8_t>(type));
    write_amount(out, entry->sum);
  }
}

void read_alone(RowIn& in, Sums& sums) {
  uint8_t type = in.u8();
  if (type != kNoNumber) sums.base = read_number(in, type);
  for (const Origin& origin : in.origins) {
    CounterEntry entry;
    const ReadTime first = read_time(in, kAloneFlagBits);
    entry.first = {hlc_before(in, first), origin};
    entry.last = entry.first.hlc;
    if ((first.flags & kGoesOnFlag) != 0) {
      entry.last = hlc_before(in, read_time(in));
      if (entry.last == entry.first.hlc) in.fail("entry that goes on nowhere");
    }
    if ((first.flags & kOtherTypeFlag) != 0) {
      const uint8_t other = in.u8();
      if (other == type) in.fail("a type told twice");
      type = other;
    }
    entry.sum = read_number(in, type);
    if (!in.ok()) return;
    sums.entries.push_back(std::move(entry));
  }
  if (sums.entries.empty()) in.fail("counter without entries");
  sums.entries = sorted(std::move(sums.entries));
}

}  // namespace outrigger::merge
