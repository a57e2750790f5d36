#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "replication/record/bytes.h"
#include "replication/record/record_codec.h"

namespace outrigger {
namespace {

struct OriginHash {
  size_t operator()(const Origin& origin) const {
    uint64_t site = 0;
    std::memcpy(&site, origin.site.data(), sizeof site);
    return static_cast<size_t>(site ^ origin.epoch);  // both are random already
  }
};

struct PathHash {
  size_t operator()(const Path* path) const {
    size_t hash = path->size();
    for (const std::string& name : *path) hash = hash * 31 + std::hash<std::string>()(name);
    return hash;
  }
};

struct PathEqual {
  bool operator()(const Path* a, const Path* b) const { return *a == *b; }
};

// What repeats, numbered in the order of first use. Borrows names and paths from the records.
template <typename Key, typename... Traits>
class Table {
 public:
  size_t index(const Key& key) {
    const auto [found, is_new] = indexes_.try_emplace(key, order_.size());
    if (is_new) order_.push_back(key);
    return found->second;
  }
  [[nodiscard]] const std::vector<Key>& order() const { return order_; }

 private:
  std::unordered_map<Key, size_t, Traits...> indexes_;
  std::vector<Key> order_;
};

class Encoder {
 public:
  explicit Encoder(uint8_t flags) : flags_(flags) {}

  void segment(const Segment& segment);
  void entry(const Record& record);
  void reserve(size_t bytes) { body_.reserve(bytes); }
  void number(uint64_t n) { body_.varint(n); }
  // Header and tables, known only now, then everything encoded before.
  std::string finish();

 private:
  void record_body(const Record& record);
  void deps(const Record& record);
  void document(const DocumentEffects& document);
  void effect(const Effect& effect, Keys keys);
  void counter(const CounterEntry& counter);
  void edit(const ListEdit& edit);
  void place(const Place& place, bool as_set);
  void element(const ElementId& id);
  void dot(const Dot& dot);  // or zero
  void removals(const std::vector<Dot>& removals);
  void stamp(ByteWriter& out, Hlc stamp) const {
    out.varint(zigzag(static_cast<int64_t>(hlc_ - stamp)));
  }
  void put_paths(ByteWriter& out) const;

  ByteWriter body_;
  Table<Origin, OriginHash> origins_;
  Table<std::string_view> namespaces_;
  Table<const Path*, PathHash, PathEqual> paths_;
  const uint8_t flags_;
  Hlc hlc_ = 0;           // of the record being written
  VersionVector deps_;    // of the record before it
  std::string_view app_;  // likewise
};

void Encoder::entry(const Record& record) {
  body_.varint(origins_.index(record.origin));
  body_.varint(record.hlc);
  record_body(record);
}

void Encoder::segment(const Segment& segment) {
  OUTRIGGER_ASSERT(segment.after <= segment.through);
  body_.varint(origins_.index(segment.origin));
  body_.varint(segment.after);
  body_.varint(segment.through - segment.after);
  body_.varint(segment.records.size());
  deps_ = VersionVector();
  app_ = {};
  Hlc previous = segment.after;
  for (const Record& record : segment.records) {
    OUTRIGGER_ASSERT(record.origin == segment.origin);
    OUTRIGGER_ASSERT(record.hlc > previous && record.hlc <= segment.through);
    body_.varint(record.hlc - previous);
    previous = record.hlc;
    record_body(record);
  }
}

void Encoder::record_body(const Record& record) {
  hlc_ = record.hlc;
  deps(record);
  body_.varint(record.documents.size());
  for (const DocumentEffects& each : record.documents) document(each);
  if ((flags_ & kFlagRetires) != 0) {
    body_.varint(record.retired.entries().size());
    for (const auto& [origin, last] : record.retired.entries()) {
      body_.varint(origins_.index(origin));
      stamp(body_, last);
    }
  }
  if ((flags_ & kFlagRules) != 0) body_.bytes(record.rules);
  if ((flags_ & kFlagNews) != 0) body_.bytes(record.news);
  if ((flags_ & kFlagApps) != 0) body_.app(record.app, std::exchange(app_, record.app));
}

void Encoder::deps(const Record& record) {
  if (record.hlc > 1) deps_.raise(record.origin, record.hlc - 1);
  const auto& guess = deps_.entries();
  const auto& actual = record.deps.entries();
  ByteWriter corrections;
  size_t count = 0;
  auto g = guess.begin();
  for (auto a = actual.begin(); a != actual.end() || g != guess.end();) {
    if (a == actual.end() || (g != guess.end() && g->first < a->first)) {
      corrections.varint(origins_.index(g->first) * 2 + 1);
      ++count, ++g;
      continue;
    }
    const bool same_origin = g != guess.end() && g->first == a->first;
    if (!same_origin || g->second != a->second) {
      corrections.varint(origins_.index(a->first) * 2);
      stamp(corrections, a->second);
      ++count;
    }
    if (same_origin) ++g;
    ++a;
  }
  body_.varint(count);
  body_.raw(corrections.take());
  deps_ = record.deps;
}

void Encoder::document(const DocumentEffects& document) {
  body_.varint(namespaces_.index(document.ns));
  body_.value(document.id);
  body_.varint(document.effects.size());
  Keys keys = document.keys;
  for (const Effect& each : document.effects) effect(each, std::exchange(keys, Keys::kClaims));
  if ((flags_ & kFlagYields) == 0) return;
  removals(document.gone);
  removals(document.there);
}

void Encoder::removals(const std::vector<Dot>& removals) {
  body_.varint(removals.size());
  for (const Dot& each : removals) dot(each);
}

void Encoder::effect(const Effect& effect, Keys keys) {
  const bool has_path = !effect.is_birth() && effect.kind != Operation::kRemove;
  const bool has_baselines = !effect.baselines.empty();
  const bool has_moves = !effect.edit.moved.empty();
  const bool has_bounds = effect.entry.bounds.has_value();
  const bool has_more = has_baselines || has_moves || has_bounds;
  const bool takes = !effect.taken.empty();
  const bool is_marked = effect.removal != Removal::kPlain || effect.is_version || takes;
  body_.u8(static_cast<uint8_t>(static_cast<int>(effect.kind) | has_more << 3 |
                                effect.rule.is_contest() << 4 | is_marked << 5 |
                                static_cast<int>(keys) << 6));
  if (effect.removal != Removal::kPlain) body_.u8(static_cast<uint8_t>(effect.removal));
  if (has_path) body_.varint(paths_.index(&effect.path));
  if (effect.is_birth() || effect.kind == Operation::kAssign) body_.value(effect.value);
  if (has_baselines) {
    body_.varint(effect.baselines.size());
    for (const Baseline& seen : effect.baselines) {
      body_.varint(paths_.index(&seen.path));
      body_.varint(seen.entries.size());
      for (const CounterEntry& each : seen.entries) counter(each);
    }
  }
  if (effect.kind == Operation::kIncrement) counter(effect.entry);
  if (has_bounds) body_.bounds(*effect.entry.bounds);
  if (effect.kind == Operation::kEdit) edit(effect.edit);
  if (effect.rule.is_contest()) write(body_, effect.rule);
  if (!takes) return;
  body_.varint(effect.taken.size());
  for (const bson::OwnedValue& each : effect.taken) body_.value(each);
}

void Encoder::edit(const ListEdit& edit) {
  body_.varint(edit.removed.size());
  for (const ElementId& each : edit.removed) element(each);
  body_.varint(edit.changed.size());
  for (const ChangedElement& each : edit.changed) {
    element(each.id);
    body_.value(each.value);
  }
  body_.varint(edit.added.size());
  for (const AddedElement& each : edit.added) {
    place(each.place, each.as_set);
    body_.value(each.value);
  }
  if (edit.moved.empty()) return;
  body_.varint(edit.moved.size());
  for (const MovedElement& each : edit.moved) {
    element(each.id);
    place(each.to, false);
  }
}

void Encoder::place(const Place& place, bool as_set) {
  OUTRIGGER_ASSERT(!place.empty() && place.size() <= kPlacePartsMax);
  body_.u8(static_cast<uint8_t>(place.size() << 1 | (as_set ? 1 : 0)));
  for (const PlacePart& part : place) {
    body_.u8(static_cast<uint8_t>(part.lane));
    element(part.id);
  }
}

void Encoder::element(const ElementId& id) {
  dot(id.dot);
  body_.varint(id.index);
}

void Encoder::dot(const Dot& dot) {
  if (dot.is_zero()) return body_.varint(0);
  body_.varint(origins_.index(dot.origin) + 1);
  stamp(body_, dot.hlc);
}

void Encoder::counter(const CounterEntry& counter) {
  body_.varint(origins_.index(counter.first.origin));
  stamp(body_, counter.first.hlc);
  stamp(body_, counter.last);
  body_.value(counter.sum);
}

void Encoder::put_paths(ByteWriter& out) const {
  out.varint(paths_.order().size());
  const Path empty;
  const Path* before = &empty;
  for (const Path* path : paths_.order()) {
    const size_t shared = shared_names(*before, *path);
    out.varint(shared);
    out.varint(path->size() - shared);
    for (size_t i = shared; i < path->size(); ++i) out.bytes((*path)[i]);
    before = path;
  }
}

std::string Encoder::finish() {
  ByteWriter out;
  out.reserve(body_.size() + 256);
  out.u8(kRecordFormatVersion);
  out.u8(flags_);
  out.varint(origins_.order().size());
  for (const Origin& origin : origins_.order()) out.origin(origin);
  out.varint(namespaces_.order().size());
  for (const std::string_view ns : namespaces_.order()) out.bytes(ns);
  put_paths(out);
  out.raw(body_.view());
  return out.take();
}

// Roughly what its documents take: where they are whole ones, nearly all of it.
size_t bytes_of(const Record& record) {
  size_t bytes = 64 + record.rules.size() + record.news.size();
  for (const DocumentEffects& document : record.documents) {
    bytes += document.id.bytes.size() + 8;
    for (const Effect& effect : document.effects) {
      bytes += effect.value.bytes.size() + 8;
      for (const AddedElement& each : effect.edit.added) bytes += each.value.bytes.size() + 8;
      for (const bson::OwnedValue& each : effect.taken) bytes += each.bytes.size() + 8;
    }
  }
  return bytes;
}

// What of it takes bytes that few records need.
uint8_t flags_of(const Record& record) {
  const bool tells = std::any_of(
      record.documents.begin(), record.documents.end(),
      [](const DocumentEffects& each) { return !each.gone.empty() || !each.there.empty(); });
  return static_cast<uint8_t>((record.retired.empty() ? 0 : kFlagRetires) |
                              (tells ? kFlagYields : 0) | (record.rules.empty() ? 0 : kFlagRules) |
                              (record.news.empty() ? 0 : kFlagNews) |
                              (record.app.empty() ? 0 : kFlagApps));
}

}  // namespace

std::string encode_record(const Record& record) {
  Encoder encoder(flags_of(record));
  encoder.reserve(bytes_of(record));
  encoder.entry(record);
  return encoder.finish();
}

std::string encode_segments(std::span<const Segment> segments) {
  uint8_t flags = 0;
  for (const Segment& segment : segments) {
    for (const Record& record : segment.records) flags |= flags_of(record);
  }
  Encoder encoder(flags);
  size_t bytes = 0;
  for (const Segment& segment : segments) {
    for (const Record& record : segment.records) bytes += bytes_of(record);
  }
  encoder.reserve(bytes);
  encoder.number(segments.size());
  for (const Segment& segment : segments) encoder.segment(segment);
  return encoder.finish();
}

}  // namespace outrigger
