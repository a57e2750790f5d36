#include "replication/merge/types/sums.h"

#include <utility>

namespace outrigger::merge {
namespace {

constexpr uint8_t kNoNumber = 0;  // in the place of its type

bool is_whole(bson::Type type) { return type == bson::Type::kInt32 || type == bson::Type::kInt64; }

void write_number(RowOut& out, const bson::OwnedValue& number) {
  out.u8(static_cast<uint8_t>(number.type));
  if (is_whole(number.type)) {
    out.varint(zigzag(*number.view().to_int64()));
  } else {
    out.raw(number.bytes);
  }
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

}  // namespace outrigger::merge
