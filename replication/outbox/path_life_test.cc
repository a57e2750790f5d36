// What is told of a path: the writes that are still in the log, what each had not seen, what lost.
#include "replication/outbox/path_life.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/outbox/batch.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/record/record_codec.h"

namespace outrigger {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

Origin origin(uint8_t site) {
  Origin out;
  out.site.fill(site);
  out.epoch = 1;
  return out;
}

const Origin kOslo = origin(0xaa);
const Origin kParis = origin(0xbb);

Effect assign(Path path, const bson::OwnedValue& value) {
  Effect effect;
  effect.path = std::move(path);
  effect.value = value;
  return effect;
}

class PathLifeTest : public ::testing::Test {
 protected:
  // {_id: 1, a: {x: "first"}, b: 1} of oslo; then a.x at both sites, apart; b; then a of oslo,
  // which has seen all.
  PathLifeTest() {
    bson::Writer document;
    document.int32("_id", 1).open_document("a").string("x", "first").close().int32("b", 1);
    Effect birth = assign({}, bson::make_document(document.finish()));
    birth.kind = Operation::kBirth;
    put(kOslo, 1, {}, birth);
    put(kOslo, 3, {{kOslo, 2}}, assign({"a", "x"}, bson::make_string("of oslo")));
    put(kParis, 4, {{kOslo, 1}}, assign({"a", "x"}, bson::make_string("of paris")));
    put(kOslo, 5, {{kOslo, 4}}, assign({"b"}, bson::make_int32(2)));
    put(kOslo, 6, {{kOslo, 5}, {kParis, 4}}, assign({"a"}, bson::make_string("last")));
    LedgerEntry lost;
    lost.ns = "t.a";
    lost.id = bson::make_int32(1);
    lost.path = {"a", "x"};
    lost.kind = "set_set";
    lost.value = bson::make_string("of oslo");
    lost.loser = {3, kOslo};
    lost.winner = {4, kParis};
    outbox::Batch batch;
    batch.put_ledger(ledger_key(lost), encode_ledger(lost));
    lost.id = bson::make_int32(2);
    batch.put_ledger(ledger_key(lost), encode_ledger(lost));
    EXPECT_TRUE(outbox_.write(std::move(batch)).has_value());
  }
  void put(const Origin& author, Hlc hlc, const std::vector<std::pair<Origin, Hlc>>& deps,
           const Effect& effect) {
    Record record;
    record.origin = author;
    record.hlc = hlc;
    for (const auto& [of, through] : deps) record.deps.raise(of, through);
    if (hlc > 1) record.deps.raise(author, hlc - 1);
    record.documents = {{"t.a", bson::make_int32(1), {effect}},
                        {"t.b", bson::make_int32(1), {effect}}};
    outbox::Batch batch;
    batch.put_entry(author, hlc, encode_record(record));
    EXPECT_TRUE(outbox_.write(std::move(batch)).has_value());
  }
  [[nodiscard]] PathLife ask(const std::string& path, const std::string& id = "1") const {
    return path_life(outbox_, {"t.a", id, path}).value();
  }
  static std::vector<Hlc> stamps(const PathLife& life) {
    std::vector<Hlc> out;
    for (const PathEvent& event : life.events) out.push_back(event.dot.hlc);
    return out;
  }

  outbox::MemoryOutbox outbox_;
};

TEST_F(PathLifeTest, TellsTheWritesAtAPathAndAroundItByTheirStamps) {
  EXPECT_THAT(stamps(ask("a.x")), ElementsAre(1, 3, 4, 6));
  EXPECT_THAT(stamps(ask("a")), ElementsAre(1, 3, 4, 6));
  EXPECT_THAT(stamps(ask("b")), ElementsAre(1, 5));
  EXPECT_THAT(stamps(ask("")), ElementsAre(1, 3, 4, 5, 6));
  EXPECT_THAT(stamps(ask("a.xy")), ElementsAre(1, 6)) << "another field";
  EXPECT_THAT(ask("a", "2").events, IsEmpty());
  EXPECT_TRUE(ask("a").is_whole);
}

TEST_F(PathLifeTest, TellsTheValuesThere) {
  const auto values = [](const PathLife& life) {
    std::vector<std::string> out;
    for (const PathEvent& event : life.events) {
      out.push_back(event.value ? bson::to_json(event.value->view()) : "-");
    }
    return out;
  };
  EXPECT_THAT(values(ask("a.x")), ElementsAre("\"first\"", "\"of oslo\"", "\"of paris\"", "-"));
  EXPECT_THAT(values(ask("b")), ElementsAre("1", "2"));
}

TEST_F(PathLifeTest, TellsWhatEachHadNotSeen) {
  const PathLife life = ask("a.x");
  ASSERT_THAT(life.events, SizeIs(4));
  EXPECT_THAT(life.events[0].unseen, IsEmpty());
  EXPECT_THAT(life.events[1].unseen, IsEmpty());
  EXPECT_THAT(life.events[2].unseen, ElementsAre(Dot{3, kOslo}));
  EXPECT_THAT(life.events[3].unseen, IsEmpty()) << "it came after both";
}

TEST_F(PathLifeTest, TellsWhatLost) {
  ASSERT_THAT(ask("a").losses, SizeIs(1));
  EXPECT_EQ(ask("a").losses[0].winner, (Dot{4, kParis}));
  EXPECT_THAT(ask("b").losses, IsEmpty());
  EXPECT_THAT(ask("a.x", "2").losses, SizeIs(1));
}

TEST_F(PathLifeTest, TellsOfAFieldWhateverElementItIsIn) {
  const std::string element = element_name({Dot{3, kParis}, 0});
  put(kOslo, 7, {}, assign({"l", element, "q", "x"}, bson::make_int32(7)));
  for (const char* path : {"l", "l.2", "l.2.q", "l.0.q.x", "l.0.q.x.y"}) {
    EXPECT_THAT(stamps(ask(path)), Contains(Hlc{7})) << path;
  }
  for (const char* path : {"l.2.w", "l.2.q.y", "k", "b"}) {
    EXPECT_THAT(stamps(ask(path)), Not(Contains(Hlc{7}))) << path;
  }
  EXPECT_EQ(ask("l.0.q.x").events.back().value, bson::make_int32(7));
}

TEST_F(PathLifeTest, HoldsNoMoreThanItMay) {
  const std::string large(5u << 20, 'x');
  for (Hlc hlc = 10; hlc < 15; ++hlc) {
    put(kOslo, hlc, {}, assign({"b"}, bson::make_string(large)));
  }
  const PathLife life = ask("b");
  EXPECT_THAT(stamps(life), ElementsAre(1, 5, 10, 11, 12));
  EXPECT_FALSE(life.is_whole);
}

}  // namespace
}  // namespace outrigger
