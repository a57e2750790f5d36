// How one document becomes another, and how that is written down.
#include "replication/apply/apply_batch.h"

#include <gtest/gtest.h>

#include "replication/apply/apply_intent.h"

namespace outrigger {
namespace {

using bson::make_int32;

std::string doc(const std::function<void(bson::Writer&)>& build) {
  bson::Writer writer;
  writer.int32("_id", 1);
  build(writer);
  return writer.finish();
}

TEST(WriteBetween, NamesOnlyWhatDiffers) {
  const auto write = write_between(
      "a.b", make_int32(1), doc([](auto& w) {
        w.int32("same", 1).int32("gone", 1).open_document("in").int32("x", 1).int32("y", 1).close();
      }),
      doc([](auto& w) {
        w.int32("same", 1).open_document("in").int32("y", 1).int32("x", 2).close().int32("new", 1);
      }));
  ASSERT_TRUE(write.has_value());
  EXPECT_EQ(write->kind, StoreWrite::Kind::kUpdate);
  ASSERT_EQ(write->set.size(), 2u);
  EXPECT_EQ(write->set[0].path, (Path{"in", "x"}));
  EXPECT_EQ(write->set[1].path, (Path{"new"}));
  EXPECT_EQ(write->unset, (std::vector<Path>{{"gone"}}));
}

TEST(WriteBetween, OrderOfFieldsIsNoDifference) {
  EXPECT_FALSE(write_between("a.b", make_int32(1),
                             doc([](auto& w) { w.int32("a", 1).int32("b", 2); }),
                             doc([](auto& w) { w.int32("b", 2).int32("a", 1); }))
                   .has_value());
}

TEST(WriteBetween, NamesThatPathsCannotSayReplaceTheDocument) {
  for (const char* name : {"a.b", "$x", "", "7"}) {
    const auto write = write_between("a.b", make_int32(1), doc([](auto&) {}),
                                     doc([&](auto& w) { w.int32(name, 1); }));
    ASSERT_TRUE(write.has_value());
    EXPECT_EQ(write->kind, StoreWrite::Kind::kReplaceOrInsert) << name;
  }
}

TEST(WriteBetween, AnUnsayableNameInsideASubDocumentReplacesOnlyThat) {
  const auto write = write_between(
      "a.b", make_int32(1), doc([](auto& w) { w.open_document("in").int32("x", 1).close(); }),
      doc([](auto& w) { w.open_document("in").int32("x", 2).int32("p.q", 1).close(); }));
  ASSERT_TRUE(write.has_value());
  ASSERT_EQ(write->set.size(), 1u);
  EXPECT_EQ(write->set[0].path, (Path{"in"}));
}

TEST(FieldsNeeded, ADeleteThatMeetsAnythingElseNeedsTheWholeDocument) {
  const auto record_of = [](Operation kind, Hlc stamp) {
    Record record;
    record.hlc = stamp;
    DocumentEffects& effects = record.documents.emplace_back();
    Effect& effect = effects.effects.emplace_back();
    effect.kind = kind;
    if (kind == Operation::kAssign) effect.path = {"a"};
    return record;
  };
  const Record set = record_of(Operation::kAssign, 1);
  const Record remove = record_of(Operation::kRemove, 2);
  const auto needed = [](std::initializer_list<const Record*> records) {
    ApplyDocument document;
    for (const Record* record : records) {
      document.touches.push_back({record, &record->documents[0], record->hlc, true});
    }
    auto fields = fields_needed(document);
    EXPECT_TRUE(fields.has_value());
    return *fields;
  };
  using Fields = std::optional<std::vector<std::string>>;
  EXPECT_EQ(needed({&set}), Fields({"a"}));
  EXPECT_EQ(needed({&remove}), Fields(std::vector<std::string>()));
  EXPECT_EQ(needed({&set, &remove}), Fields());
  EXPECT_EQ(needed({&remove, &set}), Fields());
}

TEST(Written, SetsAndUnsetsWhateverStandsInTheWay) {
  StoreWrite write;
  write.set = {
      {{"a", "b"}, make_int32(1)}, {{"n", "m", "o"}, make_int32(2)}, {{"s"}, make_int32(3)}};
  write.unset = {{"gone"}, {"in", "x"}, {"scalar", "x"}, {"missing", "x"}};
  const auto after = written(
      doc([](auto& w) {
        w.int32("a", 7).int32("gone", 1).open_document("in").int32("x", 1).int32("y", 1).close();
        w.int32("scalar", 5);
      }),
      std::vector<const StoreWrite*>{&write});
  EXPECT_EQ(bson::to_json(bson::Document(*after)), bson::to_json(bson::Document(doc([](auto& w) {
              w.open_document("a").int32("b", 1).close();
              w.open_document("in").int32("y", 1).close().int32("scalar", 5);
              w.open_document("n").open_document("m").int32("o", 2).close().close();
              w.int32("s", 3);
            }))));
}

TEST(ApplyIntent, IsReadBackAsWritten) {
  ApplyIntent intent;
  intent.after.raise(Origin{{1, 2, 3}, 4}, 5);
  intent.writes.push_back(whole_write("a.b", make_int32(1), doc([](auto&) {})));
  intent.writes.push_back(whole_write("a.b", make_int32(2), std::nullopt));
  intent.writes.push_back({StoreWrite::Kind::kUpdate,
                           "a.c",
                           make_int32(3),
                           "",
                           {{{"x", "y"}, make_int32(1)}},
                           {{"z"}, {"p", "q"}}});
  const std::string bytes = encode_intent(intent);
  EXPECT_EQ(*decode_intent(bytes), intent);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_intent(bytes.substr(0, size)).has_value());
  }
}

}  // namespace
}  // namespace outrigger
