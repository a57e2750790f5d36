#include "replication/merge/row.h"

#include "replication/merge/types/sums.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

Dot dot(Hlc hlc, uint8_t site = 1) {
  Dot result;
  result.hlc = hlc;
  result.origin.site[0] = site;
  result.origin.epoch = 2;
  return result;
}

// One document at one site, with its row.
class Row : public MergeTest {
 protected:
  // Everything a row can hold: births, hidden values, counters with baselines, assertions.
  std::string busy_row() {
    insert(a_, {{"a", i32(1)}, {"n", i32(5)}, {"c", doc({{"n", i32(1)}})}});
    insert(b_, {{"a", text("later")}, {"n", text("word")}});
    inc(a_, "n", 3);
    exchange();
    inc(c_, "c.n", 1);
    set(a_, "c", i32(1));
    exchange();
    return a_.rows.at("d");
  }
  bool loads(const std::string& row) { return load_row(row).has_value(); }
};

// Of one array, "l".
class RowOfList : public ArrayTest {
 protected:
  static bool loads(const std::string& row) { return load_row(row).has_value(); }
  // The row of a site, as it is now and as it is when all is stable.
  void never_breaks() {
    DocumentState state = a_.load("d");
    const std::vector<std::string> rows{a_.rows.at("d"), stable_row(state)};
    for (const std::string& row : rows) {
      for (size_t n = 1; n < row.size(); ++n) EXPECT_FALSE(loads(row.substr(0, n))) << n;
      EXPECT_EQ(strip(*load_row(row)), row);
      for (size_t n = 0; n < row.size(); ++n) {
        for (const int mask : {1, 0x80, 0xff, 0x40}) {
          std::string damaged = row;
          damaged[n] = static_cast<char>(damaged[n] ^ mask);
          auto damaged_state = load_row(damaged);
          if (!damaged_state) continue;
          fill(*damaged_state, stored(a_));
          ASSERT_TRUE(document_of(*damaged_state).has_value());
        }
      }
    }
    EXPECT_FALSE(is_at_rest(rows[0]));
    EXPECT_TRUE(is_at_rest(rows[1]));
    EXPECT_FALSE(counts(rows[1]));
    DocumentState settled = *load_row(rows[1]);
    fill(settled, stored(a_));
    EXPECT_EQ(document_of(settled), std::string(stored(a_).bytes()));
  }
};

TEST_F(Row, NoRowMeansNoState) {
  const auto state = load_row("");
  ASSERT_TRUE(state.has_value());
  EXPECT_TRUE(state->incarnations.empty());
}

TEST_F(Row, AStableDocumentNeedsNone) {
  DocumentState state;
  fill(state, bson::Document(doc({{"_id", i32(1)}, {"c", doc({{"x", i32(2)}})}}).bytes));
  EXPECT_EQ(strip(state), "");
}

TEST_F(Row, AnInsertedDocumentIsOneStampHoweverManyFieldsItHas) {
  Fields fields = {{"a", i32(1)}, {"c", doc({{"x", i32(1)}, {"y", array({i32(1)})}})}};
  for (int i = 0; i < 1000; ++i) fields.emplace_back("f" + std::to_string(i), i32(i));
  insert(a_, fields);
  exchange();
  for (const WorldSite* site : all_) {
    EXPECT_EQ(site->rows.at("d").size(), 33u);
    EXPECT_EQ(site->load("d").incarnations.front().body.registers.size(), 1u);
  }
}

TEST_F(Row, AnUpsertedDocumentIsOneStampToo) {
  upsert(a_, {{"a", i32(1)}, {"c", doc({{"x", i32(1)}, {"y", array({i32(1)})}})}});
  exchange();
  for (const WorldSite* site : all_) EXPECT_LE(site->rows.at("d").size(), 45u);
}

TEST_F(Row, OneFieldSetCostsLittleMoreThanItsOriginAndALaterOneTen) {
  insert(a_, {{"value", i32(1)}, {"f1", i32(1)}});
  forget();
  set(b_, "value", i32(2));
  const std::string one = b_.rows.at("d");
  EXPECT_LE(one.size(), 25u - 1 + kOriginBytes);  // on disk a number: outbox/rocks/row_origins.h
  set(b_, "f1", i32(2));
  const std::string two = b_.rows.at("d");
  EXPECT_LE(two.size(), one.size() + 10);
  for (const std::string& row : {one, two}) {
    for (size_t n = 1; n < row.size(); ++n) EXPECT_FALSE(loads(row.substr(0, n))) << n;
    EXPECT_FALSE(loads(row + '\0'));
    EXPECT_EQ(strip(*load_row(row)), row);
  }
  all_show({{"value", i32(2)}, {"f1", i32(2)}});
}

TEST_F(Row, ACounterOfThreeOriginsMinutesApartCosts26Bytes) {
  insert(a_, {{"n", i32(40)}});
  forget();
  now_ms_ = 1'800'000'000'000;  // as large as the time of day is
  inc(a_, "n", -3);
  now_ms_ += 90'000;
  inc(b_, "n", 2);
  now_ms_ += 90'000;
  inc(c_, "n", 20);
  exchange();
  const std::string row = a_.rows.at("d");
  EXPECT_EQ(static_cast<uint8_t>(row.front()), kCount);
  EXPECT_LE(row.size(),
            26u + 3 * (kOriginBytes - 1));  // on disk a number: outbox/rocks/row_origins.h
  for (size_t n = 1; n < row.size(); ++n) EXPECT_FALSE(loads(row.substr(0, n))) << n;
  EXPECT_FALSE(loads(row + '\0'));
  EXPECT_EQ(strip(*load_row(row)), row);
}

TEST_F(Row, CountersAreWrittenDenselyWhateverTheyCount) {
  insert(a_, {{"n", i32(40)},
              {"big", bson::make_int64(int64_t{1} << 40)},
              {"half", bson::make_double(0.5)}});
  forget();
  std::vector<std::string> rows;
  const auto add = [&](WorldSite& site, const char* path, int32_t by) {
    inc(site, path, by);
    exchange();
    rows.push_back(a_.rows.at("d"));
  };
  add(a_, "n", 1);
  add(b_, "n", 2);
  EXPECT_EQ(static_cast<uint8_t>(rows.back().front()), kCount);
  add(a_, "n", 4);  // an entry that goes on
  add(a_, "half", 1);
  EXPECT_EQ(static_cast<uint8_t>(rows.back().front()), kSums);
  add(b_, "big", 1);
  set(c_, "x", i32(1));
  add(c_, "new", 1);
  for (const std::string& row : rows) {
    for (size_t n = 1; n < row.size(); ++n) EXPECT_FALSE(loads(row.substr(0, n))) << n;
    EXPECT_FALSE(loads(row + '\0'));
    EXPECT_EQ(strip(*load_row(row)), row);
  }
}

TEST_F(Row, OneCounterIsReadBackWhateverTypesItAdds) {
  const std::vector<bson::OwnedValue> numbers = {i32(-7), bson::make_int64(int64_t{1} << 40),
                                                 bson::make_double(0.5)};
  for (const bool has_base : {false, true}) {
    for (const auto& one : numbers) {
      for (const auto& other : numbers) {
        for (const Hlc last : {hlc_from_ms(9) + 1, hlc_from_ms(70'000)}) {
          DocumentState state;
          Incarnation& only = state.incarnations.emplace_back();
          only.births.emplace_back();
          if (has_base) only.body.registers[{"n"}] = old_number(one);
          only.body.counters[{"n"}] = {{dot(hlc_from_ms(9) + 1, 2), last, other},
                                       {dot(hlc_from_ms(70'000), 1), hlc_from_ms(70'000), one}};
          const std::string row = encode_row(state);
          ASSERT_EQ(static_cast<uint8_t>(row.front()), kCount);
          const auto again = load_row(row);
          ASSERT_TRUE(again.has_value());
          EXPECT_EQ(encode_row(*again), row);
          const auto& entries = again->incarnations.front().body.counters.at({"n"});
          ASSERT_EQ(entries.size(), 2u);
          EXPECT_EQ(entries[0].first, dot(hlc_from_ms(9) + 1, 2));
          EXPECT_EQ(entries[0].last, last);
          EXPECT_EQ(entries[0].sum, other);
          EXPECT_EQ(entries[1].sum, one);
        }
      }
    }
  }
}

TEST_F(Row, TellsOfABirthOnlyWhereThereIsNothingElse) {
  EXPECT_EQ(birth_in_row(birth_row(dot(7), false)), dot(7));
  EXPECT_EQ(birth_in_row(birth_row(dot(7), true)), std::nullopt);
  EXPECT_EQ(birth_in_row(birth_row(dot(7), false).substr(0, 20)), std::nullopt);
  EXPECT_EQ(birth_in_row(busy_row()), std::nullopt);
  EXPECT_EQ(birth_in_row(""), std::nullopt);
}

TEST_F(Row, ReadsBackAsItWasWritten) {
  const std::string row = busy_row();
  EXPECT_EQ(strip(a_.load("d")), row);
  DocumentState full = a_.load("d");
  fill(full, stored(a_));
  EXPECT_EQ(strip(full), row);
  EXPECT_EQ(document_of(full), std::string(stored(a_).bytes()));
}

TEST_F(Row, ADetachedOneNeedsNoDocument) {
  insert(a_, {{"a", i32(1)}, {"n", i32(5)}});
  inc(a_, "n", 2);
  DocumentState state = a_.load("d");
  fill(state, stored(a_));
  state.detached = true;
  DocumentState again = *load_row(strip(state));
  fill(again, std::nullopt);
  EXPECT_TRUE(again.detached);
  EXPECT_TRUE(bson::equal_unordered(bson::Document(*document_of(again)), stored(a_)));
}

TEST_F(Row, AnyTruncationIsCorrupt) {
  const std::string row = busy_row();
  for (size_t n = 1; n < row.size(); ++n) EXPECT_FALSE(loads(row.substr(0, n))) << n;
  EXPECT_FALSE(loads(row + '\0'));
}

TEST_F(Row, AnyFlippedByteLoadsOrFailsButNeverBreaks) {
  const std::string row = busy_row();
  for (size_t n = 0; n < row.size(); ++n) {
    for (const int mask : {1, 0x80, 0xff, 0x40}) {
      std::string damaged = row;
      damaged[n] = static_cast<char>(damaged[n] ^ mask);
      auto state = load_row(damaged);
      if (!state) continue;
      fill(*state, stored(a_));
      ASSERT_TRUE(document_of(*state).has_value());
      EXPECT_FALSE(strip(*state).empty());
    }
  }
}

TEST_F(RowOfList, NeverBreaks) {
  insert(a_, {{"l", array({i32(1), i32(2), i32(3)})}});
  exchange();
  add_to_set(a_, "l", text("t"));
  add_to_set(b_, "l", text("t"));
  edit(b_, "l", {i32(1), i32(9), i32(2), i32(3), text("t")});
  exchange();
  set_element(c_, "l", 0, i32(7));
  exchange();
  never_breaks();
}

TEST_F(RowOfList, NorWhereElementsHaveMoved) {
  const auto item = [](int32_t key) { return doc({{"k", i32(key)}}); };
  const auto order = [&](WorldSite& site, const Items& items) {
    PathChange change = edit_of(site, "l", items, ArrayEdit::kKeyed);
    change.key = "k";
    edit(site, change);
    exchange();
  };
  insert(a_, {{"l", array({item(1), item(2), item(3), item(4), item(5)})}});
  exchange();
  push(c_, "l", item(6));
  exchange();
  order(a_, {item(1), item(4), item(2), item(3), item(5), item(6)});
  order(b_, {item(4), item(1), item(6), item(2), item(3), item(5)});
  never_breaks();
}

TEST_F(Row, AnUnknownVersionIsRefusedByName) {
  std::string row = busy_row();
  row[0] = 9;
  const auto state = load_row(row);
  ASSERT_FALSE(state.has_value());
  EXPECT_EQ(state.error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(state.error().reason.starts_with("unknown version at byte 1"));
}

TEST_F(Row, TellsWhenACounterNeedsAnImage) {
  insert(a_, {{"n", i32(1)}, {"c", doc({})}});
  EXPECT_FALSE(base_known(a_.load("d"), {"n"}));
  inc(a_, "n", 1);
  EXPECT_TRUE(base_known(a_.load("d"), {"n"}));
  unset(a_, "c");
  EXPECT_TRUE(base_known(a_.load("d"), {"c", "n"}));
  set(a_, "c", doc({}));
  EXPECT_FALSE(base_known(a_.load("d"), {"c", "n"}));
  EXPECT_FALSE(base_known(DocumentState(), {"n"}));
}

TEST_F(Row, GoesWhenStableAndClosed) {
  insert(a_, {{"n", i32(1)}});
  inc(a_, "n", 1);
  DocumentState state = a_.load("d");
  const VersionVector all = stamps(state);
  EXPECT_FALSE(collect(state, {}, {}));
  EXPECT_FALSE(collect(state, all, {}));
  EXPECT_TRUE(collect(state, all, all));
  state.detached = true;
  EXPECT_FALSE(collect(state, all, all));
}

TEST_F(Row, BirthsJoinOnlyWhenAllAreStable) {
  upsert(a_, {{"a", i32(1)}});
  upsert(b_, {{"b", i32(2)}});
  exchange();
  DocumentState state = a_.load("d");
  VersionVector one;
  one.raise(state.incarnations[0].births[0].origin, kHlcMax);
  EXPECT_FALSE(collect(state, one, {}));
  EXPECT_EQ(state.incarnations.size(), 2u);
  EXPECT_TRUE(collect(state, stamps(state), {}));
  EXPECT_EQ(state.incarnations.size(), 1u);
}

TEST_F(Row, IllFormedEffectsOfAPeerAreIgnored) {
  insert(a_, {{"a", i32(1)}});
  DocumentState state = a_.load("d");
  fill(state, stored(a_));
  Record record;
  record.origin.site[0] = 9;
  record.hlc = kHlcMax;
  record.deps = stamps(state);
  DocumentEffects effects;
  Effect& effect = effects.effects.emplace_back();
  effect.value = i32(2);
  for (const Path& path : {Path{}, Path{std::string("x\0y", 3)}, Path(500, "deep")}) {
    effect.path = path;
    apply_remote(state, record, effects, nullptr);
  }
  effect = Effect();
  effect.kind = Operation::kIncrement;
  effect.path = {"n"};
  effect.entry.sum = text("no number");
  apply_remote(state, record, effects, nullptr);
  EXPECT_EQ(document_of(state), std::string(stored(a_).bytes()));
}

}  // namespace
}  // namespace outrigger::merge
