#include <algorithm>
#include <utility>

#include "config/limits.h"
#include "replication/record/bytes.h"
#include "replication/record/path.h"
#include "replication/record/record_codec.h"

namespace outrigger {
namespace {

// Smallest encodings, so that a count can be refused before anything is allocated for it.
constexpr size_t kOriginBytes = 24;
constexpr size_t kPathBytes = 2;
constexpr size_t kSegmentBytes = 4;
constexpr size_t kRecordBytes = 3;
constexpr size_t kCorrectionBytes = 1;
constexpr size_t kDocumentBytes = 3;
constexpr size_t kEffectBytes = 1;
constexpr size_t kCounterBytes = 4;
constexpr size_t kBaselineBytes = 2;
constexpr size_t kElementBytes = 2;
constexpr size_t kChangedBytes = 3;
constexpr size_t kPlacedBytes = 5;
constexpr size_t kReservedMax = 64;  // elements, on the word of a count alone

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

bool is_name_of_element(std::string_view name) {
  const auto id = element_named(name);
  return id && id->index < kElementIndexes;
}

class Decoder {
 public:
  Decoder(std::string_view bytes, const RecordLimits& limits)
      : limits_(limits), in_(bytes, "record", limits.decoded_bytes_max) {
    if (!limits.checks_documents) in_.trust_documents();
    if (bytes.size() > limits.bytes_max) in_.fail("longer than the limit allows");
  }

  Result<Record> entry();
  Result<std::string> entry_as_batch(Hlc after, Hlc through);
  Result<std::vector<Segment>> batch();

 private:
  void header();
  void read_path(const Path& before);
  void segment(Segment& segment);
  void record_body(Record& record);
  void deps(Record& record);
  void retired(Record& record);
  void document(DocumentEffects& document);
  void removals(std::vector<Dot>& removals);
  void effect(Effect& effect, Keys* keys);  // null: it says nothing of them
  void removal(Effect& effect);
  Path path();
  void counter(CounterEntry& counter);
  void edit(ListEdit& edit, bool has_moves);
  bool place(Place& place);  // true: an element that is added there is of a set
  ElementId element();
  Dot dot();  // or zero
  Hlc stamp() { return hlc_ - static_cast<Hlc>(unzigzag(in_.varint())); }

  // Appends `count` things. A count is a claim: memory follows what proves to be there.
  template <typename T, typename Read>
  void read_each(std::vector<T>& out, size_t count, Read read) {
    out.reserve(std::min<size_t>(count, kReservedMax));
    for (size_t i = 0; i < count && in_.ok(); ++i) {
      in_.spend(sizeof(T));
      read(out.emplace_back());
    }
  }

  const RecordLimits limits_;
  ByteReader in_;
  std::vector<Origin> origins_;
  std::vector<std::string_view> namespaces_;
  std::vector<Path> paths_;
  std::vector<size_t> path_bytes_;  // memory of a copy of each
  uint8_t flags_ = 0;
  size_t records_ = 0;
  size_t effects_ = 0;  // of the record being read
  Hlc hlc_ = 0;         // likewise
  VersionVector deps_;  // of the record before it
  std::string app_;     // likewise
};

void Decoder::header() {
  if (in_.u8() != kRecordFormatVersion) return in_.fail("unknown format version");
  flags_ = in_.u8();
  if ((flags_ & ~kFlagsKnown) != 0) return in_.fail("unknown flags");
  read_each(origins_, in_.count(limits_.origins_max, kOriginBytes),
            [&](Origin& origin) { origin = in_.origin(); });
  read_each(namespaces_, in_.count(limits_.effects_max, 1), [&](std::string_view& ns) {
    ns = in_.bytes();
    if (ns.empty() || ns.size() > limits_.namespace_bytes_max || has_nul(ns)) {
      in_.fail("not a namespace");
    }
  });
  const size_t paths = in_.count(limits_.effects_max, kPathBytes);
  const Path root;
  for (size_t i = 0; i < paths && in_.ok(); ++i) {
    in_.spend(sizeof(Path) + sizeof(size_t));
    read_path(i == 0 ? root : paths_[i - 1]);
  }
}

void Decoder::read_path(const Path& before) {
  const uint64_t shared = in_.varint();
  const uint64_t fresh = in_.varint();
  if (shared > before.size()) return in_.fail("path shares more than there is");
  if (fresh > limits_.path_depth_max || shared + fresh > limits_.path_depth_max) {
    return in_.fail("path too deep");
  }
  size_t bytes = static_cast<size_t>(shared + fresh) * sizeof(std::string);
  for (uint64_t i = 0; i < shared; ++i) bytes += before[i].size();
  in_.spend(bytes);
  if (!in_.ok()) return;
  Path path;
  path.reserve(static_cast<size_t>(shared + fresh));
  path.assign(before.begin(), before.begin() + static_cast<ptrdiff_t>(shared));
  for (uint64_t i = 0; i < fresh && in_.ok(); ++i) {
    const std::string_view name = in_.bytes();
    if (has_nul(name) && !is_name_of_element(name)) {
      return in_.fail("field name with a zero byte");
    }
    bytes += name.size();
    in_.spend(name.size());
    path.emplace_back(name);
  }
  if (in_.ok() && !is_legal_path(path)) return in_.fail("path into elements of elements");
  paths_.push_back(std::move(path));
  path_bytes_.push_back(bytes);
}

Result<Record> Decoder::entry() {
  header();
  Record record;
  const size_t origin = in_.index(origins_.size());
  record.hlc = in_.varint();
  if (in_.ok()) record.origin = origins_[origin];
  if (in_.ok()) record_body(record);
  in_.end();
  if (!in_.ok()) return in_.error();
  return record;
}

// A record without another before it has the same body in both.
Result<std::string> Decoder::entry_as_batch(Hlc after, Hlc through) {
  header();
  const std::string_view head = in_.read();
  const size_t origin = in_.index(origins_.size());
  const Hlc stamp = in_.varint();
  if (in_.ok() && stamp <= after) in_.fail("stamp not after those before it");
  if (!in_.ok()) return in_.error();
  ByteWriter out;
  out.reserve(in_.all().size() + 64);
  out.raw(head);
  out.varint(1);
  out.varint(origin);
  out.varint(after);
  out.varint(std::max(stamp, through) - after);
  out.varint(1);
  out.varint(stamp - after);
  out.raw(in_.rest());
  return out.take();
}

Result<std::vector<Segment>> Decoder::batch() {
  header();
  std::vector<Segment> segments;
  read_each(segments, in_.count(limits_.segments_max, kSegmentBytes),
            [&](Segment& each) { segment(each); });
  in_.end();
  return in_.ok() ? Result<std::vector<Segment>>(std::move(segments)) : in_.error();
}

void Decoder::segment(Segment& segment) {
  const size_t origin = in_.index(origins_.size());
  segment.after = in_.varint();
  const uint64_t span = in_.varint();
  if (span > kHlcMax - segment.after) return in_.fail("segment beyond the largest stamp");
  segment.through = segment.after + span;
  const size_t count = in_.count(limits_.records_max - records_, kRecordBytes);
  if (!in_.ok()) return;
  records_ += count;
  segment.origin = origins_[origin];
  deps_ = VersionVector();
  app_.clear();
  Hlc previous = segment.after;
  read_each(segment.records, count, [&](Record& record) {
    const uint64_t step = in_.varint();
    if (step == 0 || step > segment.through - previous) {
      return in_.fail("stamp not ascending within its segment");
    }
    record.origin = segment.origin;
    record.hlc = previous = previous + step;
    record_body(record);
  });
}

void Decoder::record_body(Record& record) {
  if (record.hlc == 0) return in_.fail("record without a stamp");
  hlc_ = record.hlc;
  effects_ = 0;
  deps(record);
  read_each(record.documents, in_.count(limits_.documents_max, kDocumentBytes),
            [&](DocumentEffects& each) { document(each); });
  if ((flags_ & kFlagRetires) != 0) retired(record);
  if ((flags_ & kFlagRules) != 0) record.rules = in_.bytes(limits::kRulesBytesMax);
  if ((flags_ & kFlagNews) != 0) record.news = in_.bytes(limits::kRecordBytesMax);
  if ((flags_ & kFlagApps) != 0) record.app = app_ = in_.app(app_);
}

void Decoder::retired(Record& record) {
  const size_t count = in_.count(limits_.origins_max, kCorrectionBytes + 1);
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t origin = in_.index(origins_.size());
    const Hlc last = stamp();
    if (!in_.ok()) return;
    if (last == 0 || last >= record.hlc) return in_.fail("epoch that ends where it cannot");
    in_.spend((record.retired.entries().size() + 1) * sizeof(VersionVector::Entry));
    record.retired.raise(origins_[origin], last);
  }
}

void Decoder::deps(Record& record) {
  if (record.hlc > 1) deps_.raise(record.origin, record.hlc - 1);
  const size_t count = in_.count(2 * limits_.origins_max, kCorrectionBytes);
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t code = in_.index(2 * origins_.size());
    if (!in_.ok()) return;
    const Origin& origin = origins_[code / 2];
    // The vector is a sorted array: what a correction may move is accounted for like memory.
    in_.spend(deps_.entries().size() * sizeof(VersionVector::Entry));
    deps_.erase(origin);
    if (code % 2 == 1) continue;
    const Hlc seen = stamp();
    if (seen == 0) return in_.fail("dependency without a stamp");
    deps_.raise(origin, seen);
  }
  in_.spend(deps_.entries().size() * sizeof(VersionVector::Entry));
  if (in_.ok()) record.deps = deps_;
}

void Decoder::document(DocumentEffects& document) {
  const size_t ns = in_.index(namespaces_.size());
  document.id = in_.value();
  const size_t count = in_.count(limits_.effects_max - effects_, kEffectBytes);
  if (!in_.ok()) return;
  effects_ += count;
  in_.spend(namespaces_[ns].size());
  document.ns = namespaces_[ns];
  Keys* told = &document.keys;
  read_each(document.effects, count, [&](Effect& each) { effect(each, std::exchange(told, {})); });
  if ((flags_ & kFlagYields) == 0) return;
  removals(document.gone);
  removals(document.there);
}

void Decoder::removals(std::vector<Dot>& removals) {
  read_each(removals, in_.count(limits_.effects_max, kElementBytes), [&](Dot& each) {
    each = dot();
    if (each.is_zero()) in_.fail("removal that is none");
  });
}

void Decoder::effect(Effect& effect, Keys* keys) {
  const uint8_t tag = in_.u8();
  const int kind = tag & 7;
  const bool has_rule = tag >> 4 & 1;
  const bool is_marked = tag >> 5 & 1;
  if (kind < 1 || (keys == nullptr && tag > 0x3f)) return in_.fail("unknown kind of effect");
  if (keys != nullptr) *keys = static_cast<Keys>(tag >> 6);
  effect.kind = static_cast<Operation>(kind);
  const bool is_assign = effect.kind == Operation::kAssign;
  const bool is_edit = effect.kind == Operation::kEdit;          // which may have moves
  const bool is_counted = effect.kind == Operation::kIncrement;  // which may have bounds
  const bool has_more = tag >> 3 & 1;
  const bool has_baselines = has_more && !is_edit && !is_counted;
  const bool gives = is_assign || effect.kind == Operation::kUnset;
  if (has_baselines && !gives && !effect.is_birth()) return in_.fail("baseline where none can be");
  if (has_rule && !gives) return in_.fail("rule of a contest where none can be");
  if (is_marked && !is_assign && !is_edit) removal(effect);
  if (effect.kind == Operation::kRemove) return;
  if (!effect.is_birth()) effect.path = path();
  effect.is_version = is_marked && is_assign && effect.path.empty();
  if (effect.is_birth() || is_assign) effect.value = in_.value();
  const bool is_whole = effect.is_birth() || (is_assign && effect.path.empty());
  const bool is_none = is_whole && effect.value.type != bson::Type::kDocument;
  if (in_.ok() && is_none) return in_.fail("document that is none");
  if (has_baselines) {
    read_each(effect.baselines, in_.count(limits_.effects_max, kBaselineBytes),
              [&](Baseline& seen) {
                seen.path = path();
                read_each(seen.entries, in_.count(limits_.effects_max, kCounterBytes),
                          [&](CounterEntry& each) { counter(each); });
              });
    if (effect.baselines.empty()) in_.fail("no baseline where one is told");
  }
  if (is_counted) counter(effect.entry);
  if (is_counted && has_more) effect.entry.bounds = in_.bounds();
  if (is_edit) edit(effect.edit, has_more);
  if (has_rule && effect.path.empty()) return in_.fail("rule of a contest where none can be");
  if (has_rule) read(in_, effect.rule);
  if (!is_marked || effect.is_version) return;
  read_each(effect.taken, in_.count(limits_.effects_max, 1),
            [&](bson::OwnedValue& each) { each = in_.value(); });
  if (effect.taken.empty()) in_.fail("nothing taken where something is told to be");
}

void Decoder::removal(Effect& effect) {
  const uint8_t code = in_.u8();
  if (effect.kind != Operation::kRemove) return in_.fail("no removal, and it yields");
  const bool is_known = code != 0 && code <= static_cast<uint8_t>(Removal::kExpiry);
  if (!is_known) return in_.fail("unknown kind of removal");
  effect.removal = static_cast<Removal>(code);
}

void Decoder::edit(ListEdit& edit, bool has_moves) {
  read_each(edit.removed, in_.count(limits_.effects_max, kElementBytes),
            [&](ElementId& each) { each = element(); });
  read_each(edit.changed, in_.count(limits_.effects_max, kChangedBytes), [&](ChangedElement& each) {
    each.id = element();
    each.value = in_.value();
  });
  read_each(edit.added, in_.count(limits_.effects_max, kPlacedBytes), [&](AddedElement& each) {
    each.as_set = place(each.place);
    each.value = in_.value();
  });
  if (!has_moves) return;
  read_each(edit.moved, in_.count(limits_.effects_max, kPlacedBytes), [&](MovedElement& each) {
    each.id = element();
    if (place(each.to)) in_.fail("an element is moved into a set");
  });
  if (edit.moved.empty()) in_.fail("no move where one is told");
}

bool Decoder::place(Place& place) {
  const uint8_t head = in_.u8();
  const size_t parts = head >> 1;
  if (parts == 0 || parts > kPlacePartsMax) in_.fail("place of an element that is none");
  read_each(place, parts, [&](PlacePart& part) {
    const uint8_t lane = in_.u8();
    if (lane > static_cast<uint8_t>(Lane::kBehind)) in_.fail("unknown lane of an array");
    part = {static_cast<Lane>(lane & 3), element()};
  });
  return (head & 1) != 0;
}

ElementId Decoder::element() {
  ElementId id;
  id.dot = dot();
  const uint64_t index = in_.varint();
  if (index >= kElementIndexes) in_.fail("element beyond the largest array");
  id.index = static_cast<uint32_t>(index);
  return id;
}

Dot Decoder::dot() {
  const size_t origin = in_.index(origins_.size() + 1);
  if (!in_.ok() || origin == 0) return {};
  const Dot dot{stamp(), origins_[origin - 1]};
  if (dot.is_zero()) in_.fail("stamp of zero");
  return dot;
}

Path Decoder::path() {
  const size_t path = in_.index(paths_.size());
  if (!in_.ok()) return {};
  in_.spend(path_bytes_[path]);
  return in_.ok() ? paths_[path] : Path();
}

void Decoder::counter(CounterEntry& counter) {
  const size_t origin = in_.index(origins_.size());
  if (!in_.ok()) return;
  counter.first.origin = origins_[origin];
  counter.first.hlc = stamp();
  counter.last = stamp();
  counter.sum = in_.value();
  if (in_.ok() && !counter.sum.view().is_number()) in_.fail("sum that is not a number");
}

}  // namespace

Result<Record> decode_record(std::string_view bytes, const RecordLimits& limits) {
  return Decoder(bytes, limits).entry();
}

Result<std::string> entry_as_segments(std::string_view entry, Hlc after, Hlc through) {
  return Decoder(entry, {}).entry_as_batch(after, through);
}

Result<std::vector<Segment>> decode_segments(std::string_view bytes, const RecordLimits& limits) {
  return Decoder(bytes, limits).batch();
}

}  // namespace outrigger
