// A list in the bytes of a row: runs of elements that differ in their numbers alone.
#include <algorithm>

#include "replication/merge/types/list.h"

namespace outrigger::merge {
namespace {

constexpr uint8_t kHidden = 1;
constexpr uint8_t kSettled = 2;
constexpr uint8_t kTaken = 4;

// The head of a run: the lane, and
constexpr uint8_t kLaneMask = 3;
constexpr uint8_t kAsSet = 4;
constexpr uint8_t kChanged = 8;
constexpr uint8_t kTwin = 16;
constexpr uint8_t kInside = 32;  // a run of one
constexpr uint8_t kMoved = 64;
constexpr uint8_t kAfter = 128;

// No array that a store takes has more.
constexpr uint64_t kSettledRunMax = bson::kDocumentBytesMax / 3;

bool goes_on(const Place& last, const Place& next) {
  if (last.empty() || next.empty()) return last.empty() && next.empty();
  const PlacePart& a = last.back();
  const PlacePart& b = next.back();
  return last.size() == next.size() && a.lane == b.lane &&
         std::equal(last.begin(), last.end() - 1, next.begin()) && a.id.dot == b.id.dot &&
         b.id.index - a.id.index == 1;
}

bool goes_on(const ListElement& last, const ListElement& next) {
  return goes_on(last.place, next.place) && goes_on(last.moved, next.moved) &&
         last.as_set == next.as_set && last.changed == next.changed && !last.twin_at &&
         !next.twin_at && last.inside == nullptr && next.inside == nullptr &&
         last.after == next.after;
}

void write_parts(RowOut& out, const Place& place, size_t count) {
  out.varint(count);
  for (size_t i = 0; i < count; ++i) {
    out.u8(static_cast<uint8_t>(place[i].lane));
    out.dot(place[i].id.dot);
    out.varint(place[i].id.index);
  }
}

void write_run(RowOut& out, const ListElement& first, size_t count) {
  uint8_t head = static_cast<uint8_t>(first.place.back().lane);
  if (first.as_set) head |= kAsSet;
  if (!first.changed.is_zero()) head |= kChanged;
  if (first.twin_at) head |= kTwin;
  if (first.inside != nullptr) head |= kInside;
  if (!first.moved.empty()) head |= kMoved;
  if (!first.after.empty()) head |= kAfter;
  out.u8(head);
  if (first.place.back().lane == Lane::kBehind) {
    write_parts(out, first.place, first.place.size() - 1);
  }
  out.dot(first.id().dot);
  out.varint(first.id().index);
  out.varint(count);
  if (!first.changed.is_zero()) out.dot(first.changed);
  if (first.twin_at) out.varint(*first.twin_at);
  if (!first.moved.empty()) write_parts(out, first.moved, first.moved.size());
  if (!first.after.empty()) out.newest_dots(first.after);
}

void write_taken(RowOut& out, const List& list) {
  out.varint(list.taken.size());
  for (const TakenValue& each : list.taken) {
    out.dot(each.by);
    out.counted(each.value);
  }
}

uint32_t read_index(RowIn& in) {
  const uint64_t index = in.varint();
  if (index > UINT32_MAX) in.fail("element beyond the largest array");
  return static_cast<uint32_t>(index);
}

void read_parts(RowIn& in, Place& place, size_t count_max) {
  for (size_t n = in.count(count_max, 3); n > 0 && in.ok(); --n) {
    PlacePart& part = place.emplace_back();
    const uint8_t lane = in.u8();
    if (lane > kLaneMask) in.fail("unknown lane of an array");
    part.lane = static_cast<Lane>(lane & kLaneMask);
    part.id.dot = in.dot();
    part.id.index = read_index(in);
  }
}

// To where the first element of a run was moved.
void read_moved(RowIn& in, Place& moved) {
  read_parts(in, moved, kPlacePartsMax);
  const bool is_place =
      !moved.empty() && !moved.back().id.dot.is_zero() && is_place_of(moved, moved.back().id.dot);
  if (!is_place) in.fail("an element was moved to where none can be");
}

// Of a run, the first element.
ListElement read_run(RowIn& in, bool settled) {
  ListElement first;
  const uint8_t head = in.u8();
  const auto lane = static_cast<Lane>(head & kLaneMask);
  if ((head & kInside) != 0 && settled) in.fail("a settled element with an inside");
  if ((head & kTwin) != 0 && !settled) in.fail("twin where none can be");
  first.as_set = (head & kAsSet) != 0;
  if (lane == Lane::kBehind) {
    read_parts(in, first.place, kPlacePartsMax - 1);
  }
  const Dot dot = in.dot();
  first.place.push_back({lane, {dot, read_index(in)}});
  if (!is_place_of(first.place, dot)) in.fail("an element stands where none can");
  return first;
}

// The removals that whoever gave the elements of a run their values had seen.
void read_after(RowIn& in, VersionVector& after) {
  after = in.newest_dots();
  if (after.empty()) in.fail("nothing seen where something is told to be");
}

void read_taken(RowIn& in, List& list) {
  for (size_t n = in.items(); n > 0 && in.ok(); --n) {
    TakenValue each{in.dot(), in.counted()};
    const bool is_ordered = list.taken.empty() || !(each.by < list.taken.back().by);
    if (each.by.is_zero() || !is_ordered) in.fail("removals out of order");
    list.taken.push_back(std::move(each));
  }
  if (list.taken.empty()) in.fail("nothing taken where something is told to be");
}

std::shared_ptr<const Inside> read_inside(RowIn& in) {
  if (in.inside == nullptr) in.fail("an element with an inside where none can be");
  return in.inside == nullptr ? nullptr : in.inside(in);
}

}  // namespace

void write(RowOut& out, const List& list) {
  out.u8(static_cast<uint8_t>((list.hidden ? kHidden : 0) | (list.settled ? kSettled : 0) |
                              (list.taken.empty() ? 0 : kTaken)));
  out.dot(list.asserted);
  if (list.settled) out.u32(list.hash);
  const auto& all = list.elements;
  std::vector<size_t> ends;  // of the runs
  for (size_t i = 0; i < all.size(); ++i) {
    const bool more = i > 0 && goes_on(all[i - 1], all[i]);
    if (more) ends.back() = i + 1;
    if (!more) ends.push_back(i + 1);
  }
  out.varint(ends.size());
  size_t begin = 0;
  for (const size_t end : ends) {
    write_run(out, all[begin], end - begin);
    for (; begin < end; ++begin) {
      if (!list.settled) out.counted(all[begin].value);
      if (all[begin].inside != nullptr) all[begin].inside->write(out);
    }
  }
  if (!list.taken.empty()) write_taken(out, list);
}

void read(RowIn& in, List& list) {
  const uint8_t flags = in.u8();
  if ((flags & ~(kHidden | kSettled | kTaken)) != 0) in.fail("unknown flags of a list");
  list.hidden = (flags & kHidden) != 0;
  list.settled = (flags & kSettled) != 0;
  if (list.hidden && list.settled) in.fail("the values of a list are missing");
  if ((flags & kTaken) != 0 && list.settled) in.fail("removals that a settled list remembers");
  list.asserted = in.dot();
  if (list.settled) list.hash = in.u32();
  for (size_t runs = in.items(); runs > 0 && in.ok(); --runs) {
    const size_t head_at = in.read().size();
    ListElement element = read_run(in, list.settled);
    const uint8_t head = in.ok() ? static_cast<uint8_t>(in.all()[head_at]) : 0;
    const uint64_t count = in.varint();
    const auto has_room = [&](const ElementId& first) {
      return count != 0 && count - 1 <= UINT32_MAX - first.index;
    };
    if (!has_room(element.id())) in.fail("run of no elements");
    if (!list.settled && count > in.left()) in.fail("cut short");
    if (list.settled && count > kSettledRunMax) in.fail("run of too many elements");
    if ((head & kChanged) != 0) element.changed = in.dot();
    if ((head & kTwin) != 0) element.twin_at = read_index(in);
    if ((head & kMoved) != 0) read_moved(in, element.moved);
    if ((head & kAfter) != 0 && list.settled) in.fail("removals that a settled list remembers");
    if ((head & kAfter) != 0) read_after(in, element.after);
    if (in.ok() && !element.moved.empty() && !has_room(element.moved.back().id)) {
      in.fail("run of no elements");
    }
    if ((head & kInside) != 0 && count != 1) in.fail("one inside of several elements");
    for (uint64_t i = 0; i < count && in.ok(); ++i) {
      if (!list.settled) element.value = in.counted();
      if ((head & kInside) != 0) element.inside = read_inside(in);
      if (!list.elements.empty() && !stands_before(list.elements.back(), element)) {
        in.fail("elements out of order");
      }
      list.elements.push_back(element);
      ++element.place.back().id.index;
      if (!element.moved.empty()) ++element.moved.back().id.index;
    }
  }
  if ((flags & kTaken) != 0) read_taken(in, list);
}

}  // namespace outrigger::merge
