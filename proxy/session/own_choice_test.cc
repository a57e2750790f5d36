// Which write a choice comes to, what of it is refused, and what is made of mongod's answer.
#include "proxy/session/own_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr ChoiceVerb kChoose = ChoiceVerb::kChoose;
constexpr ChoiceVerb kRevert = ChoiceVerb::kRevert;

bson::OwnedValue document_of(Writer& out) { return bson::make_document(out.finish()); }

// `title: "Budget"` of the document 1, which lost to "Picnic".
LedgerEntry title() {
  LedgerEntry entry;
  entry.ns = "shop.meetings.old";
  entry.id = bson::make_int32(1);
  entry.path = {"title"};
  entry.kind = "set_set";
  entry.value = bson::make_string("Budget");
  entry.winning = bson::make_string("Picnic");
  return entry;
}

LedgerEntry at(Path path) {
  LedgerEntry entry = title();
  entry.path = std::move(path);
  return entry;
}

// {_id: 1, room: 5}, which a delete took.
LedgerEntry deleted() {
  LedgerEntry entry = at({});
  Writer document;
  document.int32("room", 5).int32("_id", 1);
  entry.kind = "delete_update";
  entry.shape = Shape::kDocument;
  entry.value = document_of(document);
  entry.winning.reset();
  return entry;
}

LedgerEntry element() {
  LedgerEntry entry = at({"who"});
  entry.is_element = true;
  return entry;
}

std::string command(ChoiceVerb verb, const LedgerEntry& entry) {
  const ChoicePlan plan = plan_choice(verb, entry);
  EXPECT_THAT(plan.refusal, IsEmpty());
  return bson::to_json(Document(plan.command));
}

ChoiceReply said(const LedgerEntry& entry, Writer& reply) {
  const std::string body = reply.finish();
  return read_choice(plan_choice(kChoose, entry), entry, Document(body));
}

TEST(OwnChoice, AChoiceWritesTheLoserWhateverStandsThere) {
  EXPECT_EQ(command(kChoose, title()),
            R"({"findAndModify": "meetings.old", "query": {"_id": {"$eq": 1}}, )"
            R"("update": {"$set": {"title": "Budget"}}, "fields": {"_id": 0, "title": 1}, )"
            R"("collation": {"locale": "simple"}, "$db": "shop"})");
}

TEST(OwnChoice, UndoingWritesWhatHadWonWhereTheChosenStillStands) {
  const std::string text = command(kRevert, title());
  EXPECT_THAT(text, HasSubstr(R"("query": {"_id": {"$eq": 1}, "$expr": {"$eq": ["$title", )"
                              R"({"$literal": "Budget"}]}})"));
  EXPECT_THAT(text, HasSubstr(R"("update": {"$set": {"title": "Picnic"}})"));
}

TEST(OwnChoice, UndoingPrefersWhatTheChoiceFoundThere) {
  LedgerEntry entry = title();
  entry.replaced = Replaced{bson::make_string("Retreat")};
  EXPECT_THAT(command(kRevert, entry), HasSubstr(R"({"$set": {"title": "Retreat"}})"));
  entry.replaced = Replaced{};
  EXPECT_THAT(command(kRevert, entry), HasSubstr(R"({"$unset": {"title": ""}})"));
  entry.replaced.reset();
  entry.winning.reset();
  EXPECT_THAT(plan_choice(kRevert, entry).refusal, HasSubstr("is not known at this site"));
}

TEST(OwnChoice, AnUnsetThatLostUnsets) {
  LedgerEntry entry = title();
  entry.shape = Shape::kAbsent;
  entry.value = {};
  EXPECT_THAT(command(kChoose, entry), HasSubstr(R"("update": {"$unset": {"title": ""}})"));
  EXPECT_THAT(command(kRevert, entry), HasSubstr(R"("title": {"$exists": false})"));
}

TEST(OwnChoice, ANameThatCouldBeAnIndexIsNotTakenForOne) {
  EXPECT_THAT(command(kChoose, at({"a", "b", "0", "c"})),
              HasSubstr(R"({"_id": {"$eq": 1}, "a.b": {"$not": {"$type": "array"}}})"));
}

TEST(OwnChoice, ADeletedDocumentIsInsertedAndDeletedAgainAsItCame) {
  EXPECT_EQ(command(kChoose, deleted()),
            R"({"insert": "meetings.old", "documents": [{"_id": 1, "room": 5}], "$db": "shop"})");
  EXPECT_THAT(command(kRevert, deleted()),
              HasSubstr(R"("$expr": {"$eq": ["$$ROOT", {"$literal": {"_id": 1, "room": 5}}]})"));
}

TEST(OwnChoice, AWholeDocumentThatLostToAnotherReplacesIt) {
  LedgerEntry entry = deleted();
  entry.kind = "insert_insert";
  EXPECT_THAT(command(kChoose, entry), HasSubstr(R"("update": {"_id": 1, "room": 5})"));
  Writer odd;
  odd.int32("_id", 1).int32("$x", 1);
  entry.value = document_of(odd);
  EXPECT_THAT(plan_choice(kChoose, entry).refusal, HasSubstr("\"$x\""));
}

TEST(OwnChoice, AnElementTakesThePlaceOfTheOneThatWon) {
  const std::string text = command(kChoose, element());
  EXPECT_THAT(text, HasSubstr(R"("who": {"$elemMatch": {"$eq": "Picnic"}})"));
  EXPECT_THAT(text, HasSubstr(R"({"$set": {"who.$": "Budget"}})"));
  EXPECT_THAT(command(kRevert, element()), HasSubstr(R"({"$set": {"who.$": "Picnic"}})"));
}

TEST(OwnChoice, AnElementThatWasRemovedComesBackOnce) {
  LedgerEntry entry = element();
  entry.winning.reset();
  const std::string text = command(kChoose, entry);
  EXPECT_THAT(text, HasSubstr(R"("who": {"$not": {"$elemMatch": {"$eq": "Budget"}}})"));
  EXPECT_THAT(text, HasSubstr(R"({"$push": {"who": {"$each": ["Budget"]}}})"));
  EXPECT_THAT(command(kRevert, entry), HasSubstr(R"({"$pullAll": {"who": ["Budget"]}})"));
}

TEST(OwnChoice, ADismissalFindsNothingWhereTheEntryIs) {
  EXPECT_THAT(command(ChoiceVerb::kDismiss, title()), HasSubstr(R"("q": {"$alwaysFalse": 1})"));
  LedgerEntry entry = title();
  entry.ns = "outrigger.catalog";
  entry.id = bson::make_string("shop.meetings");
  EXPECT_THAT(command(ChoiceVerb::kDismiss, entry), HasSubstr(R"("update": "meetings")"));
  for (const char* kind : {kNotApplied, kUnique}) {
    entry.kind = kind;
    EXPECT_FALSE(plan_choice(ChoiceVerb::kDismiss, entry).refusal.empty());
  }
}

TEST(OwnChoice, WhatNoWriteBringsBackIsRefused) {
  for (const char* kind : {"hidden_counter", "overflow", "bounded", kNotApplied, kUnique,
                           kQuarantinedKind, kLeftOut, kValidatorBypassed, kMissing}) {
    LedgerEntry entry = title();
    entry.kind = kind;
    EXPECT_FALSE(plan_choice(kChoose, entry).refusal.empty()) << kind;
  }
  for (const Path& path : {Path{"a.b"}, Path{"a", "$b"}, Path{"a", ""}, Path{"_id", "a"}, Path{}}) {
    EXPECT_FALSE(plan_choice(kChoose, at(path)).refusal.empty()) << testing::PrintToString(path);
  }
}

// `qty: 5` of the ink in `items`, which lost to 9, and where the ink is now: behind a pen.
LedgerEntry quantity() {
  LedgerEntry entry = at({"items", element_name({Dot(), 0}), "qty"});
  entry.value = bson::make_int32(5);
  entry.winning = bson::make_int32(9);
  Writer beside;
  beside.string("sku", "ink");
  entry.beside = document_of(beside);
  return entry;
}

ElementPlace place_of_ink(int32_t qty) {
  Writer items;
  items.open_document("0").string("sku", "pen").close();
  items.open_document("1").string("sku", "ink").int32("qty", qty).close();
  return {1, {bson::Type::kArray, items.finish()}};
}

TEST(OwnChoice, AFieldOfAnElementIsWrittenWhereThatStandsInAnArrayLeftAsItWas) {
  const ElementPlace place = place_of_ink(9);
  const std::string text =
      bson::to_json(Document(plan_choice(kChoose, quantity(), &place).command));
  EXPECT_THAT(text, HasSubstr(R"("$expr": {"$eq": ["$items", {"$literal": [{"sku": "pen"}, )"
                              R"({"sku": "ink", "qty": 9}]}]})"));
  EXPECT_THAT(text, HasSubstr(R"("update": {"$set": {"items.1.qty": 5}}, "fields": )"
                              R"({"_id": 0, "items": 1})"));
}

TEST(OwnChoice, AFieldOfAnElementIsUndoneOnlyWhereTheChosenStillStands) {
  const ElementPlace chosen = place_of_ink(5);
  const std::string text =
      bson::to_json(Document(plan_choice(kRevert, quantity(), &chosen).command));
  EXPECT_THAT(text, HasSubstr(R"({"$set": {"items.1.qty": 9}})"));
  for (const int32_t other : {9, 7}) {
    const ElementPlace place = place_of_ink(other);
    EXPECT_TRUE(plan_choice(kRevert, quantity(), &place).is_moot);
    Writer document;
    document.value("items", place.array);
    const std::string bytes = document.finish();
    const std::string why = why_not_written(kRevert, quantity(), Document(bytes), &place);
    EXPECT_EQ(why.empty(), other == 9) << why;  // it is undone already
    EXPECT_THAT(why, AnyOf(IsEmpty(), HasSubstr("there is 7")));
  }
}

TEST(OwnChoice, WhatAChoiceInAnElementFoundThereIsNoted) {
  const ElementPlace place = place_of_ink(7);
  Writer reply;
  reply.open_document("value").value("items", place.array).close().real("ok", 1);
  const std::string body = reply.finish();
  const ChoiceReply said =
      read_choice(plan_choice(kChoose, quantity(), &place), quantity(), Document(body), &place);
  EXPECT_EQ(said.instead, Replaced{bson::make_int32(7)});
}

TEST(OwnChoice, WhatLostWithItsElementHasNoPlace) {
  LedgerEntry entry = quantity();
  EXPECT_TRUE(needs_place(kChoose, entry));
  entry.beside.reset();
  for (const ChoiceVerb verb : {kChoose, kRevert}) {
    EXPECT_THAT(plan_choice(verb, entry).refusal, HasSubstr("items.(0).qty lost in is not there"));
  }
  EXPECT_THAT(plan_choice(ChoiceVerb::kDismiss, entry).refusal, IsEmpty());
  EXPECT_FALSE(needs_place(ChoiceVerb::kDismiss, entry));
}

TEST(OwnChoice, AnArrayInAnElementIsNoWay) {
  LedgerEntry entry = quantity();
  entry.path.emplace_back("0");
  Writer items;
  items.open_document("0").open_array("qty").int32("0", 1).close().close();
  const ElementPlace place{0, {bson::Type::kArray, items.finish()}};
  EXPECT_THAT(plan_choice(kChoose, entry, &place).refusal, HasSubstr("an array now"));
}

TEST(OwnChoice, WhatStoodThereIsNotedUnlessItIsKnown) {
  const LedgerEntry entry = title();
  const auto note = [&](const LedgerEntry& of, const char* stood) {
    return worth_noting(of, Replaced{bson::make_string(stood)});
  };
  EXPECT_EQ(note(entry, "Retreat"), Replaced{bson::make_string("Retreat")});
  EXPECT_EQ(note(entry, "Picnic"), std::nullopt);  // what had won says it
  EXPECT_EQ(note(entry, "Budget"), std::nullopt);  // chosen twice: what it replaced first counts
  LedgerEntry noted = entry;
  noted.replaced = Replaced{bson::make_string("Retreat")};
  EXPECT_EQ(note(noted, "Picnic"), Replaced{bson::make_string("Picnic")});
}

TEST(OwnChoice, ReadsWhatMongodSays) {
  Writer written;
  written.open_document("lastErrorObject").boolean("updatedExisting", true).close();
  written.open_document("value").string("title", "Retreat").close().real("ok", 1);
  const ChoiceReply done = said(title(), written);
  EXPECT_TRUE(done.is_written);
  EXPECT_EQ(done.instead, Replaced{bson::make_string("Retreat")});
  Writer none;
  none.null("value").real("ok", 1);
  EXPECT_FALSE(said(title(), none).is_written);
  Writer duplicate;
  duplicate.int32("n", 0).open_array("writeErrors").open_document("0").int32("index", 0);
  duplicate.int32("code", 11000).string("errmsg", "E11000").close().close().real("ok", 1);
  const ChoiceReply refused = said(deleted(), duplicate);
  EXPECT_EQ(refused.code, 11000);
  EXPECT_EQ(refused.words, "E11000");
  Writer failed;
  failed.real("ok", 0).string("errmsg", "not authorized").int32("code", 13);
  EXPECT_EQ(said(title(), failed).code, 13);
}

TEST(OwnChoice, SaysWhatIsThereWhereNothingWasWritten) {
  const auto why = [](ChoiceVerb verb, const LedgerEntry& entry, const char* stands) {
    const std::string document = Writer().string("title", stands).finish();
    return why_not_written(verb, entry, Document(document));
  };
  EXPECT_THAT(why(kRevert, title(), "Retreat"), HasSubstr("Retreat"));
  EXPECT_THAT(why(kRevert, title(), "Picnic"), IsEmpty());  // it is undone already
  EXPECT_THAT(why(kChoose, at({"a", "0"}), "x"), HasSubstr("an array now"));
  EXPECT_THAT(why_not_written(kChoose, title(), std::nullopt), HasSubstr("not there any more"));
  EXPECT_THAT(why_not_written(kRevert, deleted(), std::nullopt), IsEmpty());
}

}  // namespace
}  // namespace outrigger
