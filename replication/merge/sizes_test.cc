// What is remembered of a document, in bytes: as on disk, where an origin is a number
// (outbox/rocks/row_origins.h), and without the key.
#include "replication/merge/row.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class Sizes : public ArrayTest {
 protected:
  void SetUp() override { now_ms_ = 1'800'000'000'000; }  // as large as the time of day is

  static Items numbers(int32_t count) {
    Items all;
    for (int32_t i = 0; i < count; ++i) all.push_back(i32(i));
    return all;
  }
  static Fields fields_of(int count, int32_t value) {
    Fields fields;
    for (int i = 0; i < count; ++i) fields.emplace_back("f" + std::to_string(i), i32(value));
    return fields;
  }
  // By one update.
  void set_all(WorldSite& site, const Fields& fields) {
    AppWrite write = make(Kind::kUpdate);
    write.after = std::string(stored(site).bytes());
    for (const auto& [name, value] : fields) {
      PathChange& change = write.change.changes.emplace_back();
      change.path = {name};
      change.value = value;
      write.after = with_path(bson::Document(*write.after), change.path, value);
    }
    run(site, write);
  }
  void push_each(const Items& items, int64_t every_ms) {
    for (const bson::OwnedValue& each : items) {
      push(a_, "l", each);
      now_ms_ += every_ms;
    }
  }
  size_t on_disk(const WorldSite& site) const {
    const auto row = site.rows.find(id_);
    if (row == site.rows.end()) return 0;
    return row->second.size() - origins_in_row(row->second)->count * (kOriginBytes - 1);
  }
  // Of a list that has got so many elements by pushes and nothing else: each further one.
  double of_a_pushed_element(int32_t count, int64_t every_ms) {
    start({});
    push_each(numbers(count), every_ms);
    settle_all();
    const size_t before = on_disk(a_);
    push_each(numbers(count), every_ms);
    settle_all();
    return static_cast<double>(on_disk(a_) - before) / count;
  }
};

TEST_F(Sizes, OneChangedFieldIs25BytesAndEachFurtherOneOfThatUpdate6AndItsName) {
  insert(a_, fields_of(10, 1));
  forget();
  set_all(b_, fields_of(1, 2));
  const size_t one = on_disk(b_);
  EXPECT_LE(one, 25u);
  forget();
  set_all(b_, fields_of(10, 3));
  EXPECT_LE(on_disk(b_) - one, 9 * (6u + 2)) << "f0 to f9";
}

TEST_F(Sizes, AFieldThatIsChangedByAnUpdateOfItsOwnIsUpTo12) {
  insert(a_, fields_of(20, 1));
  forget();
  for (const auto& [name, value] : fields_of(20, 2)) set(b_, name, value);
  EXPECT_LE(on_disk(b_), 25 + 19 * 12u);
}

// More than the 5 that were aimed at: its stamp, and what a run of elements is written with.
TEST_F(Sizes, AnElementThatWasPushedByItselfIsUpTo11) {
  EXPECT_LE(of_a_pushed_element(60, 1), 8.0);
  remove(a_);
  settle_all();
  EXPECT_LE(of_a_pushed_element(60, 90'000), 10.5) << "minutes apart";
}

TEST_F(Sizes, TheElementsOfOneAssignmentAreOneEntryHoweverManyTheyAre) {
  start(numbers(10));
  push(a_, "l", text("a"));
  settle_all();
  const size_t few = on_disk(a_);
  EXPECT_GT(few, 0u);
  set(a_, "l", array(numbers(1000)));
  push(a_, "l", text("a"));
  settle_all();
  EXPECT_LE(on_disk(a_), few + 9);
}

TEST_F(Sizes, SoAreThoseOfOnePush) {
  start({});
  edit(a_, "l", numbers(1000));
  settle_all();
  EXPECT_GT(on_disk(a_), 0u);
  EXPECT_LE(on_disk(a_), 40u);
}

// Less than the 9 bytes that were aimed at: its assignment is forgotten with everything else.
TEST_F(Sizes, AStableArrayThatWasOnlyAssignedIsNothing) {
  start(numbers(100));
  set(b_, "l", array(numbers(50)));
  set(b_, "m", array(numbers(50)));
  settle_all();
  for (const WorldSite* site : all_) EXPECT_EQ(on_disk(*site), 0u);
}

// More than the 9 that were aimed at, and not for ever.
TEST_F(Sizes, SinceWhenAUniqueKeyIsHeldIs14BytesUntilAllSitesKnow) {
  insert(a_, {{"mail", text("a")}});
  forget();
  set(a_, "mail", text("b"));
  const size_t plain = on_disk(a_);
  forget();
  attested_ = Keys::kClaims;
  set(a_, "mail", text("c"));
  EXPECT_GT(on_disk(a_), plain);
  EXPECT_LE(on_disk(a_), plain + 14);
  forget();  // which sees that there is no row
}

}  // namespace
}  // namespace outrigger::merge
