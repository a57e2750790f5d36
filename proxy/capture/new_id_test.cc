// Which upserts would make an _id that no insert may have. The truth is test_ids_by_path.py's,
// which asks a mongod.
#include "proxy/capture/new_id.h"

#include <gtest/gtest.h>

#include "proxy/capture/capture_testing.h"

namespace outrigger::testing {
namespace {

using bson::Document;
using bson::Writer;

std::optional<std::string> name_in(const Fill& filter, const Fill& update) {
  const std::string q = doc(filter);
  const bson::OwnedValue u = bson::make_document(doc(update));
  Statement statement;
  statement.filter = Document(q);
  statement.update = u.view();
  statement.upsert = true;
  return dollar_name_in_new_id(statement);
}

const Fill kNothing = [](Writer&) {};
const Fill kSet = [](Writer& w) { w.open_document("$set").int32("a", 1).close(); };

Fill with(const char* op, const char* path, const Fill& value) {
  return [=](Writer& w) { w.open_document(op).document(path, Document(doc(value))).close(); };
}
void dollar(Writer& w) { w.int32("$d", 1); }
void deep(Writer& w) {
  w.open_array("list").open_document("0").int32("a", 1).int32("$d", 1).close().close();
}

TEST(NewId, ANameGivenByAPathOfTheUpdateIsFound) {
  for (const char* op : {"$set", "$setOnInsert", "$min", "$max", "$push", "$addToSet"}) {
    EXPECT_EQ(name_in(kNothing, with(op, "_id.k", dollar)), "$d") << op;
    EXPECT_EQ(name_in(kNothing, with(op, "_id.k.l", deep)), "$d") << op;
    EXPECT_FALSE(name_in(kNothing, with(op, "k", dollar))) << op;
  }
  EXPECT_EQ(
      name_in(kNothing, [](Writer& w) { w.open_document("$inc").int32("_id.$n", 1).close(); }),
      "$n");
  const Fill each = [](Writer& w) {
    w.open_document("$push").open_document("_id.k").open_array("$each");
    w.document("0", Document(doc(dollar))).close().close().close();
  };
  EXPECT_EQ(name_in(kNothing, each), "$d");
}

TEST(NewId, ANameGivenByTheFilterIsFound) {
  const Fill eq = [](Writer& w) {
    w.open_document("_id.k").document("$eq", Document(doc(dollar))).close();
  };
  EXPECT_EQ(name_in(eq, kSet), "$d");
  const Fill list = [](Writer& w) {
    w.open_array("_id.k").document("0", Document(doc(dollar))).close();
  };
  EXPECT_EQ(name_in(list, kSet), "$d");
  const Fill in_and = [&](Writer& w) {
    w.open_array("$and").document("0", Document(doc(eq))).close();
  };
  EXPECT_EQ(name_in(in_and, kSet), "$d");
  const Fill in_one = [](Writer& w) {
    w.open_document("_id.k").open_array("$in").open_array("0");
    w.document("0", Document(doc(dollar))).close().close().close();
  };
  EXPECT_EQ(name_in(in_one, kSet), "$d");
  const Fill renamed = [](Writer& w) { w.open_document("$rename").string("a", "_id.k").close(); };
  EXPECT_EQ(
      name_in(
          [](Writer& w) { w.open_document("a").document("$eq", Document(doc(dollar))).close(); },
          renamed),
      "$d");
}

TEST(NewId, ADbRefBeginsADocumentAndIsWhole) {
  const Fill further_on = [](Writer& w) { w.int32("x", 1).string("$ref", "c").int32("$id", 1); };
  EXPECT_EQ(name_in(kNothing, with("$set", "_id.k", further_on)), "$ref");
  const Fill of_a_number = [](Writer& w) { w.int32("$ref", 5).int32("$id", 1); };
  EXPECT_EQ(name_in(kNothing, with("$set", "_id.k", of_a_number)), "$ref");
  const Fill no_database = [](Writer& w) { w.string("$ref", "c").int32("$id", 1).int32("$db", 5); };
  EXPECT_EQ(name_in(kNothing, with("$set", "_id.k", no_database)), "$db");
}

TEST(NewId, APipelineGivesWhatTheFilterSays) {
  const Fill eq = [](Writer& w) {
    w.open_document("_id.k").document("$eq", Document(doc(dollar))).close();
  };
  const std::string q = doc(eq);
  const bson::OwnedValue u(bson::Type::kArray, Writer().finish());
  Statement statement;
  statement.filter = Document(q);
  statement.update = u.view();
  EXPECT_EQ(dollar_name_in_new_id(statement), "$d");
}

TEST(NewId, WhatMakesNoSuchIdIsNot) {
  const Fill all_that_match = [](Writer& w) {
    w.open_document("_id.k").open_array("$all").open_document("0").open_document("$elemMatch");
    w.int32("a", 1).close().close().close().close();
  };
  EXPECT_FALSE(name_in(all_that_match, kSet));
  const Fill range = [](Writer& w) { w.open_document("_id.k").int32("$gt", 1).close(); };
  EXPECT_FALSE(name_in(range, kSet));
  const Fill two = [](Writer& w) {
    w.open_document("_id.k").open_array("$in").document("0", Document(doc(dollar))).int32("1", 1);
    w.close().close();
  };
  EXPECT_FALSE(name_in(two, kSet));
  const Fill reference = [](Writer& w) { w.string("$ref", "c").int32("$id", 1); };
  EXPECT_FALSE(name_in(kNothing, with("$setOnInsert", "_id.k", reference)));
  EXPECT_FALSE(name_in(kNothing, with("$setOnInsert", "_id", dollar)));
  EXPECT_FALSE(name_in(kNothing, [](Writer& w) {
    w.open_document("$pull").document("_id.k", Document(doc(dollar))).close();
  }));
  EXPECT_FALSE(name_in([](Writer& w) { w.int32("_id.k", 1); }, kSet));
}

}  // namespace
}  // namespace outrigger::testing
