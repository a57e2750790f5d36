// Whatever passes the checks of a member's record can be merged, and the row made of it read back:
// a row that cannot would stop applying, and every start after that.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "replication/apply/apply_batch.h"
#include "replication/merge/merge.h"
#include "replication/record/catalog.h"
#include "replication/record/record_checks.h"
#include "replication/record/record_codec.h"

namespace outrigger {
namespace {

bson::OwnedValue nested(int levels, bool arrays) {
  bson::OwnedValue value = bson::make_int32(1);
  for (int i = 0; i < levels; ++i) {
    const std::string bytes = bson::Writer().value(arrays ? "0" : "a", value).finish();
    value = {arrays ? bson::Type::kArray : bson::Type::kDocument, bytes};
  }
  return value;
}

// Effects on {_id: 1} as a broken member makes them: mostly sound, with what rows refuse strewn in.
class Maker {
 public:
  explicit Maker(uint32_t seed) : random_(seed) {}

  Record record(Hlc stamp) {
    Record record;
    record.origin = origin(false);
    record.hlc = stamp;
    for (uint8_t site = 0; site < 3; ++site) {
      if (chance(2)) record.deps.raise({{site}, 7 + below(2)}, 1 + below(stamp - 1));
    }
    if (stamp > 1) record.deps.raise(record.origin, stamp - 1);
    DocumentEffects& document = record.documents.emplace_back();
    document.ns = "shop.things";
    document.id = bson::make_int32(1);
    for (size_t i = 1 + below(4); i > 0; --i) document.effects.push_back(effect(record));
    return record;
  }

 private:
  size_t below(size_t n) { return random_() % n; }
  bool chance(size_t one_in) { return below(one_in) == 0; }

  Origin origin(bool may_be_none) {
    return {{static_cast<uint8_t>(below(3))}, may_be_none && chance(40) ? kRetired : 7 + below(2)};
  }
  Path path() {
    static const char* const kNames[] = {"a", "b", "c", "_id", "a.b", "", "0"};
    Path path;
    for (size_t i = chance(60) ? 195 + below(6) : below(4); i > 0; --i) {
      path.emplace_back(kNames[below(chance(8) ? 7 : 3)]);
    }
    return path;
  }
  bson::OwnedValue number() {
    if (chance(3)) return bson::make_double(0.5 * static_cast<double>(below(9)));
    return chance(2) ? bson::make_int64(INT64_MAX - static_cast<int64_t>(below(3)))
                     : bson::make_int32(static_cast<int32_t>(below(9)));
  }
  bson::OwnedValue value() {
    if (chance(25)) return nested(static_cast<int>(195 + below(7)), chance(2));
    if (chance(3)) return nested(static_cast<int>(below(4)), chance(3));
    return chance(2) ? number() : bson::make_string("x");
  }
  bson::OwnedValue whole() {
    bson::Writer writer;
    writer.int32("_id", 1);
    if (chance(2)) writer.value("a", value());
    if (chance(2)) writer.value("b", value());
    if (chance(10)) writer.int32("a", 7);
    return bson::make_document(writer.finish());
  }
  CounterEntry counter(const Origin& of, Hlc stamp) {
    const Hlc first = 1 + below(stamp);
    return {Dot{first, of}, first + below(stamp - first + 1), number()};
  }
  Baseline baseline(Hlc stamp) {
    Baseline seen;
    seen.path = path();
    for (size_t i = below(4); i > 0; --i) seen.entries.push_back(counter(origin(true), stamp));
    if (chance(3)) return seen;
    std::sort(seen.entries.begin(), seen.entries.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    return seen;
  }
  Effect effect(const Record& record) {
    Effect effect;
    effect.kind = static_cast<Operation>(1 + below(6));
    if (effect.kind == Operation::kRemove) return effect;
    if (!effect.is_birth()) effect.path = path();
    if (effect.is_birth() || effect.kind == Operation::kAssign) {
      effect.value = effect.path.empty() ? whole() : value();
    }
    if (effect.kind == Operation::kIncrement) {
      effect.entry = counter(record.origin, record.hlc);
      return effect;
    }
    for (size_t i = chance(2) ? 0 : below(3); i > 0; --i) {
      effect.baselines.push_back(baseline(record.hlc));
    }
    return effect;
  }

  std::mt19937 random_;
};

RecordRules all_members() {
  return {[](std::string_view) { return true; }, [](const SiteId&) { return true; }};
}

// What the applier does to a document, with the ways its row can go. Empty: all could be read back.
std::string fault_of(std::string& row, std::optional<std::string>& stored, const Record& record) {
  ApplyDocument document;
  document.ns = record.documents[0].ns;
  document.id = record.documents[0].id;
  if (!row.empty()) document.row = row;
  document.touches.push_back({&record, &record.documents[0], 1, true});
  std::optional<bson::Document> before;
  if (stored) before = bson::Document(*stored);
  const auto merged = merge_document(document, before, true);
  if (!merged) return "merge: " + merged.error().message();
  std::vector<const StoreWrite*> writes;
  for (const auto& [position, write] : document.writes) writes.push_back(&write);
  stored = written(std::move(stored), writes);
  row = document.row_after;
  if (const auto read = merge::load_row(row); !read) return "row: " + read.error().message();
  const auto kept = detached_row(row, stored);
  if (!kept) return "set aside: " + kept.error().message();
  const auto read = merge::load_row(*kept);
  if (!read) return "row set aside: " + read.error().message();
  for (const LedgerEntry& lost : document.lost) {
    if (const auto entry = decode_ledger(encode_ledger(lost)); !entry) {
      return "ledger: " + entry.error().message();
    }
  }
  const auto entry =
      decode_ledger(encode_ledger(not_applied_entry(document.ns, document.id, stored, "no", 1)));
  return entry ? "" : "ledger of what is set aside: " + entry.error().message();
}

TEST(RecordRows, WhatPassesTheChecksCanBeReadBack) {
  constexpr uint32_t kSeeds = 300;
  size_t passed = 0;
  size_t refused = 0;
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Maker make(seed);
    std::string row;
    std::optional<std::string> stored;
    for (Hlc stamp = 2; stamp < 10; ++stamp) {
      const auto record = decode_record(encode_record(make.record(stamp)));
      if (!record || !wrong_with(*record, all_members()).empty()) {
        ++refused;
        continue;
      }
      ++passed;
      ASSERT_EQ(fault_of(row, stored, *record), "");
    }
  }
  EXPECT_GT(passed, kSeeds * 4);
  EXPECT_GT(refused, kSeeds / 10);
}

Record assigning(bson::OwnedValue value) {
  Record record;
  record.origin = {{1}, 7};
  record.hlc = 5;
  DocumentEffects& document = record.documents.emplace_back();
  document.ns = "shop.things";
  document.id = bson::make_int32(1);
  Effect& effect = document.effects.emplace_back();
  effect.kind = Operation::kAssign;
  effect.path = {"a"};
  effect.value = std::move(value);
  return record;
}

std::string wrong(const Record& record) { return wrong_with(record, all_members()); }

TEST(RecordRows, AValueMustFitIntoARow) {
  EXPECT_EQ(wrong(assigning(nested(180, true))), "");
  EXPECT_NE(wrong(assigning(nested(201, true))), "");
  EXPECT_NE(wrong(assigning(nested(201, false))), "");
  const std::string long_text(bson::kDocumentBytesMax, 'x');
  EXPECT_NE(wrong(assigning({bson::Type::kString, long_text})), "");
}

TEST(RecordRows, ABaselineIsInOrderAndNamesEachOnce) {
  const CounterEntry first{Dot{2, {{1}, 7}}, 3, bson::make_int32(1)};
  const CounterEntry second{Dot{3, {{1}, 7}}, 3, bson::make_int32(1)};
  const auto with = [&](std::vector<Baseline> baselines) {
    Record record = assigning(bson::make_int32(1));
    record.documents[0].effects[0].baselines = std::move(baselines);
    return wrong(record);
  };
  EXPECT_EQ(with({{{"a"}, {first, second}}, {{"a", "b"}, {first}}}), "");
  EXPECT_NE(with({{{"a"}, {first, first}}}), "");
  EXPECT_NE(with({{{"a"}, {second, first}}}), "");
  EXPECT_NE(with({{{"a"}, {first}}, {{"a"}, {second}}}), "");
  CounterEntry of_no_epoch = first;
  of_no_epoch.first.origin.epoch = kRetired;
  EXPECT_NE(with({{{"a"}, {of_no_epoch}}}), "");
}

TEST(RecordRows, AnElementIsTheRecordsOwnOrOlder) {
  Record record = assigning({bson::Type::kArray, bson::Writer().finish()});
  Effect& effect = record.documents[0].effects[0];
  effect.kind = Operation::kEdit;
  const Dot own = record.dot();
  const Dot older{own.hlc - 1, own.origin};
  const auto with = [&](Place place) {
    effect.edit.added = {{std::move(place), false, bson::make_int32(1)}};
    return wrong(record);
  };
  EXPECT_EQ(with({{Lane::kBack, {own, 0}}}), "");
  EXPECT_EQ(with({{Lane::kAssigned, {Dot(), 3}}, {Lane::kBehind, {own, 0}}}), "");
  EXPECT_NE(with({{Lane::kBack, {older, 0}}}), "");
  EXPECT_NE(with({{Lane::kAssigned, {Dot(), 0}}}), "");
  EXPECT_NE(with({{Lane::kBehind, {own, 0}}}), "");
  EXPECT_NE(with({{Lane::kBack, {older, 0}}, {Lane::kBack, {own, 0}}}), "");
  const auto moved = [&](const ElementId& id, Place to) {
    effect.edit = {};
    effect.edit.moved = {{id, std::move(to)}};
    return wrong(record);
  };
  EXPECT_EQ(moved({older, 7}, {{Lane::kBack, {own, 0}}}), "");
  EXPECT_EQ(moved({Dot(), 2}, {{Lane::kAssigned, {Dot(), 3}}, {Lane::kBehind, {own, 0}}}), "");
  EXPECT_NE(moved({Dot(), 2}, {{Lane::kBack, {older, 0}}}), "");
  EXPECT_NE(moved({Dot(), 2}, {{Lane::kAssigned, {Dot(), 0}}}), "");
  EXPECT_NE(moved({own, 7}, {{Lane::kBack, {own, 0}}}), "");
  EXPECT_NE(moved({Dot{own.hlc + 1, own.origin}, 7}, {{Lane::kBack, {own, 0}}}), "");
  effect.edit = {};
  EXPECT_EQ(with({{Lane::kBack, {own, 0}}}), "");
  effect.edit.removed = {{older, 7}, {Dot(), 2}};
  EXPECT_EQ(wrong(record), "");
  effect.edit.removed = {{Dot{own.hlc + 1, own.origin}, 7}};
  EXPECT_NE(wrong(record), "");
  Dot of_no_epoch = older;
  of_no_epoch.origin.epoch = kRetired;
  effect.edit.removed = {{of_no_epoch, 7}};
  EXPECT_NE(wrong(record), "");
}

TEST(RecordRows, ACollectionIsWhatAMemberMayMakeOfIt) {
  const auto with = [](bson::OwnedValue id, Operation kind, Path path) {
    Record record = assigning({bson::Type::kArray, bson::Writer().int32("0", 1).finish()});
    record.documents[0].ns = kCatalogNs;
    record.documents[0].id = std::move(id);
    record.documents[0].effects[0].kind = kind;
    record.documents[0].effects[0].path = std::move(path);
    RecordRules rules = all_members();
    rules.replicates = [](std::string_view ns) { return ns.starts_with("shop."); };
    return wrong_with(record, rules);
  };
  const bson::OwnedValue things = bson::make_string("shop.things");
  const Path path = {"options", "x"};
  EXPECT_EQ(with(things, Operation::kAssign, path), "");
  EXPECT_EQ(with(things, Operation::kUnset, {"options"}), "");
  for (const char* other : {"admin.system.users", "outrigger.catalog", "shop", "shop.", ""}) {
    EXPECT_NE(with(bson::make_string(other), Operation::kAssign, path), "") << other;
  }
  EXPECT_NE(with(bson::make_int32(1), Operation::kAssign, path), "");
  EXPECT_NE(with(things, Operation::kRemove, {}), "");
  EXPECT_NE(with(things, Operation::kAssign, {}), "");
  EXPECT_NE(with(things, Operation::kIncrement, path), "");
}

}  // namespace
}  // namespace outrigger
