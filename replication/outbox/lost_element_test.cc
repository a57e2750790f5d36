// Where an element stands by now, told by what is remembered of the document and what it shows.
#include "replication/outbox/lost_element.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

using bson::Document;
using Kind = ElementNow::Kind;

Origin site(uint8_t number) {
  Origin origin;
  origin.site.fill(number);
  origin.epoch = 1;
  return origin;
}

bson::OwnedValue item(const char* sku, int32_t qty) {
  return bson::make_document(bson::Writer().string("sku", sku).int32("qty", qty).finish());
}

// A document with a cart, at a site that has seen all there is of it.
class LostElementTest : public ::testing::Test {
 protected:
  LostElementTest() {
    Effect birth;
    birth.kind = Operation::kBirth;
    birth.value = bson::make_document(cart({item("pen", 1), item("ink", 2), item("cap", 2)}));
    apply(birth);
  }

  static std::string cart(const std::vector<bson::OwnedValue>& items) {
    bson::Writer out;
    out.int32("_id", 1).open_array("items");
    for (size_t i = 0; i < items.size(); ++i) out.value(bson::index_name(i), items[i]);
    return out.close().finish();
  }
  ElementId push(const bson::OwnedValue& value, bool as_set = false) {
    const ElementId id{next(), 0};
    edit({{}, {}, {}, {{{{Lane::kBack, id}}, as_set, value}}});
    return id;
  }
  void pull(uint32_t index) { edit({{{Dot(), index}}, {}, {}, {}}); }
  void edit(const ListEdit& change) {
    Effect effect;
    effect.kind = Operation::kEdit;
    effect.path = {"items"};
    effect.edit = change;
    apply(effect);
  }
  // All sites have it: the row is what is never forgotten.
  void settle() {
    VersionVector all;
    all.raise(kOslo, last_);
    merge::DocumentState state = full_;
    ASSERT_TRUE(merge::collect(state, all, all));
    row_ = merge::stable_row(state);
  }

  // In `element`, `field` lost 5 to 9; the sku of it told it then.
  ElementNow find(const ElementId& element, const std::string& sku = "ink",
                  std::string_view key = "_id") {
    LedgerEntry entry;
    entry.path = {"items", element_name(element), "qty"};
    entry.value = bson::make_int32(5);
    entry.winning = bson::make_int32(9);
    bson::Writer beside;
    if (!sku.empty()) beside.string("sku", sku);
    entry.beside = bson::make_document(beside.finish());
    const auto remembered = merge::load_row(row_);
    EXPECT_TRUE(remembered);
    return element_now(entry, *remembered, key, Document(shown_));
  }
  void expect_at(const ElementNow& now, size_t position) {
    EXPECT_EQ(now.kind, Kind::kStands);
    EXPECT_EQ(now.position, position);
  }

  std::string row_;
  std::string shown_;

 private:
  const Origin kOslo = site(0xaa);
  [[nodiscard]] Dot next() const { return {last_ + 1, kOslo}; }
  void apply(const Effect& effect) {
    Record record;
    record.origin = kOslo;
    record.deps.raise(kOslo, last_);
    record.hlc = ++last_;
    DocumentEffects& effects = record.documents.emplace_back();
    effects.ns = "t.carts";
    effects.id = bson::make_int32(1);
    effects.effects = {effect};
    merge::apply_remote(full_, record, effects, nullptr);
    row_ = merge::strip(full_);
    shown_ = merge::document_of(full_).value_or("");
  }

  merge::DocumentState full_ = full();
  static merge::DocumentState full() {
    merge::DocumentState state;
    state.full = true;
    return state;
  }
  Hlc last_ = 0;
};

TEST_F(LostElementTest, AnElementIsFoundWhereTheOthersLeftIt) {
  expect_at(find({Dot(), 1}), 1);
  pull(0);
  expect_at(find({Dot(), 1}), 0);
  expect_at(find({Dot(), 2}, "cap"), 1);
  settle();
  expect_at(find({Dot(), 2}, "cap"), 1);
}

// Should another array have been assigned meanwhile, nobody remembers.
TEST_F(LostElementTest, OfElementsThatLookAlikeNoneIsTakenForTheOneThatCameWithItsArray) {
  row_.clear();
  shown_ = cart({item("ink", 5), item("ink", 2)});
  EXPECT_EQ(find({Dot(), 0}).kind, Kind::kUnsure);
  EXPECT_EQ(find({Dot(), 1}).kind, Kind::kUnsure);
}

TEST_F(LostElementTest, AnElementThatWasAddedIsKnownByItsNameAlone) {
  const ElementId added = push(item("cup", 1));
  expect_at(find(added), 3);
  settle();
  expect_at(find(added), 3);
}

TEST_F(LostElementTest, AnElementThatWentIsGone) {
  const ElementId added = push(item("cup", 1));
  edit({{added, {Dot(), 1}}, {}, {}, {}});
  EXPECT_EQ(find(added).kind, Kind::kGone);
  EXPECT_EQ(find({Dot(), 1}).kind, Kind::kGone);
  EXPECT_EQ(find({Dot(), 7}).kind, Kind::kGone);
  shown_ = bson::Writer().int32("_id", 1).string("items", "none").finish();
  EXPECT_EQ(find({Dot(), 2}).kind, Kind::kGone);
}

TEST_F(LostElementTest, OfTwinsTheOneThatShowsIsMeant) {
  push(item("cup", 1), true);
  const ElementId twin = push(item("cup", 1), true);
  expect_at(find(twin), 3);
  settle();
  expect_at(find(twin), 3);
}

TEST_F(LostElementTest, APositionInAnotherArrayIsNotTakenForIt) {
  row_.clear();
  shown_ = cart({item("pen", 1), item("pot", 9)});
  EXPECT_EQ(find({Dot(), 1}).kind, Kind::kUnsure);
  expect_at(find({Dot(), 0}, "pen"), 0);
}

TEST_F(LostElementTest, AnElementWithNothingElseInItIsToldByWhatWon) {
  row_.clear();
  shown_ = cart({item("pen", 1), item("ink", 9)});
  EXPECT_EQ(find({Dot(), 0}, "").kind, Kind::kUnsure);
  expect_at(find({Dot(), 1}, ""), 1);
  shown_ = cart({item("pen", 1), item("ink", 5)});  // chosen already
  expect_at(find({Dot(), 1}, ""), 1);
}

TEST_F(LostElementTest, AKeyTellsItWhereverItIs) {
  shown_ = cart({item("cup", 1), item("ink", 3)});
  expect_at(find({Dot(), 0}, "ink", "sku"), 1);
  shown_ = cart({item("ink", 1), item("ink", 3)});  // not alone with it: by its name then
  EXPECT_NE(find({Dot(), 0}, "ink", "sku").position, 1U);
}

TEST_F(LostElementTest, WhatIsRememberedOfAnotherArrayTellsNothing) {
  pull(0);
  shown_ = cart({item("pen", 1), item("ink", 2), item("cap", 2)});
  EXPECT_EQ(find({Dot(), 1}).kind, Kind::kMoving);
  settle();
  EXPECT_EQ(find({Dot(), 1}).kind, Kind::kMoving);
}

}  // namespace
}  // namespace outrigger
