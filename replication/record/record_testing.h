// Random but reproducible records for tests: small alphabets, so that tables are shared and edge
// values come often.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "replication/record/bytes.h"
#include "replication/record/prepare.h"
#include "replication/record/record.h"

namespace outrigger {

class RecordMaker {
 public:
  explicit RecordMaker(uint32_t seed) : random_(seed) {}

  size_t below(size_t n) { return random_() % n; }
  bool chance(size_t one_in) { return below(one_in) == 0; }

  Origin origin() {
    Origin origin;
    origin.site[0] = static_cast<uint8_t>(below(3));
    origin.site[15] = 0xff;
    origin.epoch = below(2) ? 7 : UINT64_MAX;
    return origin;
  }

  Hlc hlc() {
    switch (below(4)) {
      case 0:
        return 1 + below(3);
      case 1:
        return kHlcMax - below(3);
      default:
        return hlc_from_ms(1'700'000'000'000 + static_cast<int64_t>(below(100'000))) + below(4);
    }
  }

  VersionVector vector() {
    VersionVector vector;
    for (size_t i = below(5); i > 0; --i) vector.raise(origin(), hlc());
    return vector;
  }

  bson::OwnedValue number() {
    switch (below(3)) {
      case 0:
        return bson::make_int32(static_cast<int32_t>(random_()));
      case 1:
        return bson::make_int64(static_cast<int64_t>(random_()) << 20);
      default:
        return bson::make_double(0.5 * static_cast<double>(below(100)));
    }
  }

  bson::OwnedValue value() {
    switch (below(9)) {
      case 0:
        return bson::make_string(std::string(below(40), 'x'));
      case 1:
        return bson::make_bool(chance(2));
      case 2:
        return {};
      case 3:
        return bson::make_document(document());
      case 4:
        return {bson::Type::kArray, bson::Writer().int32("0", 1).string("1", "b").finish()};
      case 5:
        return {bson::Type::kObjectId, "abcdefghijkl"};
      case 6:
        return {bson::Type::kBinary, std::string("\3\0\0\0\0abc", 8)};
      case 7:
        return {bson::Type::kMaxKey, ""};
      default:
        return number();
    }
  }

  std::string document() {
    bson::Writer writer;
    for (size_t i = below(4); i > 0; --i) writer.value(name(), number());
    return writer.finish();
  }

  std::string name() {
    static const char* const kNames[] = {"a", "b", "", "a.b", "$x", "0", "caf\xc3\xa9", "longer"};
    return kNames[below(8)];
  }

  Path path() {
    Path path;
    for (size_t i = chance(20) ? 200 : below(5); i > 0; --i) path.push_back(name());
    if (!path.empty() && path.size() < kPathDepthMax && chance(5)) {
      path.insert(path.begin() + 1, element_name(element()));
    }
    return path;
  }

  CounterEntry counter() { return {Dot{hlc(), origin()}, hlc(), number()}; }

  ElementId element() {
    const auto index = static_cast<uint32_t>(below(300));
    return chance(2) ? ElementId{Dot{}, index} : ElementId{Dot{hlc(), origin()}, index};
  }

  Place place() {
    Place place;
    for (size_t parts = 1 + below(3); parts > 0; --parts) {
      place.push_back({static_cast<Lane>(below(4)), element()});
    }
    return place;
  }

  ListEdit edit() {
    ListEdit edit;
    for (size_t i = below(3); i > 0; --i) edit.removed.push_back(element());
    for (size_t i = below(3); i > 0; --i) edit.changed.push_back({element(), value()});
    for (size_t i = below(3); i > 0; --i) {
      AddedElement& added = edit.added.emplace_back();
      added.place = place();
      added.as_set = chance(2);
      added.value = value();
    }
    for (size_t i = chance(2) ? 0 : below(3); i > 0; --i) {
      MovedElement& moved = edit.moved.emplace_back();
      moved.id = element();
      moved.to = place();
    }
    return edit;
  }

  ContestRule rule() {
    ContestRule rule;
    rule.kind = static_cast<ContestKind>(1 + below(kContestKindMax));
    if (rule.kind != ContestKind::kPrefer) return rule;
    for (size_t i = below(3); i > 0; --i) rule.preferred.push_back(ns());
    return rule;
  }

  Effect effect() {
    Effect effect;
    effect.kind = static_cast<Operation>(1 + below(7));
    const bool is_assign = effect.kind == Operation::kAssign;
    if (effect.kind == Operation::kRemove) {
      effect.removal = static_cast<Removal>(below(3));
      return effect;
    }
    if (!effect.is_birth()) effect.path = path();
    const bool is_whole = effect.is_birth() || (is_assign && effect.path.empty());
    if (is_assign) effect.value = value();
    const bool gives = is_assign || effect.kind == Operation::kUnset;
    if (gives && !effect.path.empty() && chance(3)) effect.rule = rule();
    if (is_whole) effect.value = bson::make_document(document());
    effect.is_version = is_assign && is_whole && chance(2);
    const bool may_take = effect.kind == Operation::kEdit || (is_assign && !is_whole);
    for (size_t i = may_take && chance(3) ? below(3) : 0; i > 0; --i) {
      effect.taken.push_back(value());
    }
    if (effect.kind == Operation::kIncrement) {
      effect.entry = counter();
      if (chance(3)) effect.entry.bounds = Bounds{-0.5, static_cast<double>(below(100))};
      return effect;
    }
    if (effect.kind == Operation::kEdit) {
      effect.edit = edit();
      return effect;
    }
    for (size_t i = chance(2) ? 0 : below(3); i > 0; --i) {
      Baseline& seen = effect.baselines.emplace_back();
      seen.path = path();
      for (size_t j = below(3); j > 0; --j) seen.entries.push_back(counter());
    }
    return effect;
  }

  std::string ns() { return chance(3) ? "shop.carts" : "t.a"; }

  DocumentEffects document_effects() {
    DocumentEffects document;
    document.ns = ns();
    document.id = value();
    for (size_t i = chance(8) ? 1 + below(3) : 0; i > 0; --i) {
      auto& removals = chance(2) ? document.gone : document.there;
      removals.push_back(Dot{hlc(), origin()});
    }
    for (size_t i = below(6); i > 0; --i) document.effects.push_back(effect());
    return document;
  }

  Record record(const Origin& of, Hlc at) {
    Record record{of, at, vector(), {}, {}, {}, {}};
    const VersionVector old = chance(4) ? vector() : VersionVector();
    for (const auto& [epoch, last] : old.entries()) {
      if (last < at) record.retired.raise(epoch, last);
    }
    if (chance(8)) record.rules = "equal_set: keep";
    if (chance(3)) record.app = chance(2) ? "till" : "caf\xc3\xa9";
    if (!chance(3) && at > 1) record.deps.raise(of, at - 1);
    for (size_t i = below(4); i > 0; --i) record.documents.push_back(document_effects());
    return record;
  }

  Segment segment() {
    Segment segment;
    segment.origin = origin();
    segment.after = segment.through = chance(3) ? 0 : hlc() / 2;
    for (size_t i = below(5); i > 0; --i) {
      segment.through += 1 + below(70'000);
      segment.records.push_back(record(segment.origin, segment.through));
    }
    if (chance(2)) segment.through += below(9);
    return segment;
  }

  std::vector<Segment> segments() {
    std::vector<Segment> segments;
    for (size_t i = below(4); i > 0; --i) segments.push_back(segment());
    return segments;
  }

  Prepare prepare() {
    Prepare prepare;
    prepare.hlc = hlc();
    prepare.origin = origin();
    prepare.deps = vector();
    prepare.transaction = chance(2);
    if (chance(3)) prepare.app = "till";
    ByteWriter session;
    for (int i = 0; i < 32; ++i) session.u8(static_cast<uint8_t>(random_()));
    const size_t numbers = below(4);
    session.varint(numbers);
    for (size_t i = 0; i < numbers; ++i) session.varint(random_() >> below(32));
    prepare.session = session.take();
    for (size_t i = below(4); i > 0; --i) prepare.documents.push_back(prepared_document());
    return prepare;
  }

  PreparedDocument prepared_document() {
    PreparedDocument document;
    document.ns = ns();
    document.id = value();
    document.what = static_cast<PreparedDocument::What>(1 + below(5));
    document.told_whole = chance(4);
    if (chance(4)) document.version_field = {"meta", "v"};
    if (document.what == PreparedDocument::What::kRemove) {
      document.removal = static_cast<Removal>(below(3));
    }
    document.whole = chance(2);
    if (chance(2)) document.document = this->document();
    for (size_t i = below(4); i > 0; --i) {
      static constexpr Operation kKinds[] = {Operation::kAssign, Operation::kUnset,
                                             Operation::kIncrement, Operation::kUnknown,
                                             Operation::kEdit};
      const Operation kind = kKinds[below(5)];
      bson::OwnedValue value = kind == Operation::kIncrement ? number() : this->value();
      if (kind == Operation::kEdit) value = {bson::Type::kArray, this->document()};
      document.paths.push_back({kind, path(), std::move(value)});
    }
    return document;
  }

 private:
  std::mt19937 random_;
};

}  // namespace outrigger
