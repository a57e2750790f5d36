// What is merged without reading the document is what reading it would have made.
#include "replication/apply/apply_unread.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "replication/bson/random_document.h"
#include "replication/merge/merge.h"

namespace outrigger {
namespace {

using bson::make_int32;

// What merging makes of a birth where there is nothing, without the way round by a state.
TEST(Bear, IsWhatMergingWithNothingMakesOfABirth) {
  bson::testing::RandomDocument random(7);
  size_t born = 0;
  for (int i = 0; i < 2000; ++i) {
    Record record;
    record.origin = Origin{{1}, 2};
    record.hlc = 5;
    DocumentEffects& effects = record.documents.emplace_back();
    effects.ns = "a.b";
    effects.id = make_int32(i);
    bson::Writer writer;
    const std::string fields = random.next();
    for (const bson::Element& each : bson::Document(fields)) {
      if (each.name != "_id") writer.element(each);
      if (random.below(20) == 0) writer.element(each);
    }
    writer.value("_id", effects.id);
    effects.effects.push_back(
        {Operation::kBirth, {}, bson::make_document(writer.finish()), {}, {}, {}, {}});
    ApplyDocument merged;
    merged.ns = effects.ns;
    merged.id = effects.id;
    merged.touches.push_back({&record, &effects, 3, true});
    if (!is_only_born(merged)) continue;
    ++born;
    ApplyDocument borne = merged;
    bear(borne);
    ASSERT_TRUE(merge_document(merged, std::nullopt, true).value());
    EXPECT_EQ(borne.row_after, merged.row_after);
    EXPECT_TRUE(merged.lost.empty() && merged.met.empty());
    ASSERT_EQ(merged.writes.size(), 1u);
    ASSERT_EQ(borne.writes.size(), 1u);
    EXPECT_EQ(borne.writes[0].first, merged.writes[0].first);
    EXPECT_EQ(merged.writes[0].second.kind, StoreWrite::Kind::kReplaceOrInsert);
    EXPECT_EQ(borne.writes[0].second.kind, StoreWrite::Kind::kInsert);
    EXPECT_EQ(borne.writes[0].second.id, merged.writes[0].second.id);
    EXPECT_TRUE(bson::equal_unordered(bson::Document(borne.writes[0].second.document),
                                      bson::Document(merged.writes[0].second.document)));
  }
  EXPECT_GT(born, 200u);
}

constexpr uint8_t kSites = 2;

// One document as two sites write it, mostly having seen each other.
class History {
 public:
  explicit History(uint32_t seed) : random_(seed) {}

  // Nothing: it was read, as it had to be.
  void step() {
    const size_t site = below(kSites);
    const Origin origin{{static_cast<uint8_t>(1 + site)}, 7};
    if (below(5) > 0) seen_[site] = applied_;
    Record record;
    record.origin = origin;
    record.hlc = ++stamp_;
    record.deps = seen_[site];
    record.deps.raise(origin, record.hlc - 1);
    DocumentEffects& effects = record.documents.emplace_back();
    effects.ns = "a.b";
    effects.id = make_int32(1);
    for (size_t i = 1 + below(3); i > 0; --i) add(effect(record), effects.effects);
    applied_.raise(origin, record.hlc);
    apply(record, effects);
  }

  size_t unread = 0;
  size_t read = 0;

 private:
  size_t below(size_t n) { return random_() % n; }

  Effect effect(const Record& record) {
    static const char* const kNames[] = {"a", "b", "c"};
    Effect effect;
    effect.path = {kNames[below(3)]};
    if (below(12) == 0) effect.path.emplace_back("in");
    if (below(15) == 0) {
      effect.kind = Operation::kIncrement;
      effect.entry = {record.dot(), record.hlc, make_int32(1)};
    } else if (below(4) == 0) {
      effect.kind = Operation::kUnset;
    } else {
      effect.kind = Operation::kAssign;
      effect.value = make_int32(static_cast<int32_t>(below(5)));
      if (below(6) == 0) {
        effect.value = bson::make_document(bson::Writer().int32("in", 1).finish());
      }
    }
    return effect;
  }

  // As MongoDB has it: no path twice, nor one below another.
  static void add(Effect effect, std::vector<Effect>& to) {
    const auto meets = [&](const Effect& other) { return other.path[0] == effect.path[0]; };
    if (std::none_of(to.begin(), to.end(), meets)) to.push_back(std::move(effect));
  }

  void apply(const Record& record, const DocumentEffects& effects) {
    ApplyDocument document;
    document.ns = effects.ns;
    document.id = effects.id;
    if (!row_.empty()) document.row = row_;
    document.touches.push_back({&record, &effects, 1, true});
    ApplyDocument blind = document;
    ASSERT_TRUE(merge_document(document, bson::Document(stored_), true).value());
    const std::string after = store(document);
    const bool is_unread = overwrite(blind).value();
    ++(is_unread ? unread : read);
    if (is_unread) {
      EXPECT_EQ(blind.row_after, document.row_after);
      EXPECT_TRUE(bson::equal_unordered(bson::Document(store(blind)), bson::Document(after)))
          << bson::to_json(bson::Document(store(blind))) << bson::to_json(bson::Document(after));
      EXPECT_TRUE(document.lost.empty() && document.met.empty());
    }
    stored_ = after;
    row_ = document.row_after;
  }
  [[nodiscard]] std::string store(const ApplyDocument& document) const {
    std::vector<const StoreWrite*> writes;
    for (const auto& [position, write] : document.writes) writes.push_back(&write);
    return written(stored_, writes).value_or("");
  }

  std::mt19937 random_;
  Hlc stamp_ = 10;
  VersionVector applied_;
  std::array<VersionVector, kSites> seen_;
  std::string row_;
  std::string stored_ = bson::Writer().int32("_id", 1).int32("a", 0).int32("x", 0).finish();
};

TEST(Overwrite, IsWhatReadingFirstWouldHaveMade) {
  size_t unread = 0;
  size_t read = 0;
  for (uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    for (int i = 0; i < 12; ++i) history.step();
    unread += history.unread;
    read += history.read;
    if (HasFailure()) break;
  }
  EXPECT_GT(unread, 500u);
  EXPECT_GT(read, 500u);
}

// MongoDB's time for an update grows with the square of its paths.
TEST(Overwrite, AWriteOfVeryManyPathsIsLeftToReading) {
  constexpr size_t kFields = 64;  // of one record
  const std::string stored = bson::Writer().int32("_id", 1).finish();
  for (const size_t records : {kDiffPathsMax / kFields, kDiffPathsMax / kFields + 1}) {
    std::vector<Record> all(1 + records);
    for (size_t i = 0; i < all.size(); ++i) {
      all[i].origin = Origin{{1}, 7};
      all[i].hlc = 10 + i;
      all[i].deps.raise(all[i].origin, all[i].hlc - 1);
      DocumentEffects& effects = all[i].documents.emplace_back();
      effects.ns = "a.b";
      effects.id = make_int32(1);
      for (size_t field = 0; field < kFields; ++field) {
        effects.effects.push_back({Operation::kAssign,
                                   {"f" + std::to_string(i * kFields + field)},
                                   make_int32(1),
                                   {},
                                   {},
                                   {},
                                   {}});
      }
    }
    ApplyDocument first;
    first.ns = "a.b";
    first.id = make_int32(1);
    first.touches.push_back({&all[0], &all[0].documents[0], 1, true});
    ASSERT_TRUE(merge_document(first, bson::Document(stored), true).value());
    ApplyDocument rest;
    rest.ns = first.ns;
    rest.id = first.id;
    rest.row = first.row_after;
    for (size_t i = 1; i < all.size(); ++i) {
      rest.touches.push_back({&all[i], &all[i].documents[0], i, i == records});
    }
    EXPECT_EQ(overwrite(rest).value(), records * kFields <= kDiffPathsMax);
  }
}

}  // namespace
}  // namespace outrigger
