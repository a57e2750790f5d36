// Holds MemoryMongod to the truth: the same commands go to it and to a real mongod, and must be
// answered alike, leave the same documents, and the same oplog for recovery to read.
#include "integration/memory_mongod/memory_mongod.h"

#include <bson/bson.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "integration/memory_mongod/memory_mongod_store.h"
#include "integration/mongo_store_fixture.h"
#include "integration/raw_client.h"
#include "replication/store/store_contract.h"

namespace outrigger::world {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Writer;

std::string from_json(std::string json) {
  std::replace(json.begin(), json.end(), '\'', '"');
  bson_error_t error;
  bson_t* parsed = bson_new_from_json(reinterpret_cast<const uint8_t*>(json.data()),
                                      static_cast<ssize_t>(json.size()), &error);
  EXPECT_NE(parsed, nullptr) << error.message << " in " << json;
  std::string bytes(reinterpret_cast<const char*>(bson_get_data(parsed)), parsed->len);
  bson_destroy(parsed);
  return bytes;
}

// What may differ between two good answers: times, words, identities, the order of fields.
bool is_volatile(std::string_view name) {
  static const std::set<std::string_view> kNames = {
      "$clusterTime", "operationTime", "electionId", "opTime",       "errmsg",
      "codeName",     "keyPattern",    "keyValue",   "retriedStmtId"};
  return kNames.count(name) > 0;
}

std::string normal(const Document& document, bool sorts);

std::string normal(const Element& field) {
  std::string value = bson::to_json(field.value, 100'000);
  if (field.name == "id" && field.value.type == Type::kInt64) {
    value = field.value.as_int64() == 0 ? "done" : "open";
  } else if (field.value.type == Type::kDocument) {
    value = normal(field.value.as_document(), field.name == "cursor");
  } else if (field.value.type == Type::kArray) {
    value = "[" + normal(field.value.as_document(), false) + "]";
  }
  return std::string(field.name) + ": " + value;
}

std::string normal(const Document& document, bool sorts) {
  std::vector<std::string> fields;
  for (const Element& field : document) {
    if (!is_volatile(field.name)) fields.push_back(normal(field));
  }
  if (sorts) std::sort(fields.begin(), fields.end());
  std::string out;
  for (const std::string& field : fields) out += (out.empty() ? "" : ", ") + field;
  return "{" + out + "}";
}

class MemoryClient {
 public:
  MemoryClient(MemoryMongod& mongod, std::string database, std::string lsid_id)
      : mongod_(mongod), database_(std::move(database)), lsid_id_(std::move(lsid_id)) {}

  std::string ask(Writer command) {
    constexpr uint8_t kUuid = 4;
    command.open_document("lsid").binary("id", kUuid, lsid_id_).close();
    const std::string body = command.string("$db", database_).finish();
    const std::string message = wire::build_op_msg(1, 0, 0, Document(body));
    const auto parsed = wire::parse_op_msg(message);
    return mongod_.run(*parsed).body;
  }

 private:
  MemoryMongod& mongod_;
  const std::string database_;
  const std::string lsid_id_;
};

int64_t cursor_of(const std::string& reply) {
  const auto cursor = Document(reply).find("cursor");
  if (!cursor) return 0;
  return cursor->as_document().find("id")->to_int64().value_or(0);
}

class MemoryMongodTest : public MongoStoreTest {
 protected:
  void SetUp() override {
    MongoStoreTest::SetUp();
    if (mongod_ == nullptr) return;
    real_ = std::make_unique<RawClient>(mongod_->port(), db_);
    since_ = store_->last_oplog_time().value();
    memory_client_ = std::make_unique<MemoryClient>(memory_, db_, real_->lsid_id());
  }
  void TearDown() override { same_documents(); }

  // Both answer it alike. Apostrophes stand for quotes; CURSOR for the last cursor.
  void both(const std::string& json) {
    const std::string real = ask(*real_, json, real_cursor_);
    const std::string memory = ask(*memory_client_, json, memory_cursor_);
    EXPECT_EQ(normal(Document(memory), true), normal(Document(real), true)) << json;
  }
  void script(const std::vector<std::string>& all) {
    for (const std::string& json : all) both(json);
  }
  void same_documents() {
    if (!real_) return;
    const std::string find = "{'find': 'c', 'batchSize': 10000}";
    EXPECT_EQ(sorted(ask(*memory_client_, find, memory_cursor_)),
              sorted(ask(*real_, find, real_cursor_)));
  }
  // The oplog tells the same of the session.
  void same_oplog() {
    MemoryMongodStore memory(memory_);
    const std::vector lsids{real_->lsid_id()};
    const auto real_writes = store_->oplog_since(since_, lsids);
    const auto memory_writes = memory.oplog_since({}, lsids);
    ASSERT_TRUE(real_writes && memory_writes);
    EXPECT_EQ(told(*memory_writes), told(*real_writes));
    EXPECT_FALSE(real_writes->empty());
  }

  uint32_t now_seconds_ = 1'700'000'000;
  MemoryMongod memory_{{"memory:27017", [this] { return now_seconds_; }, 1}};

 private:
  template <typename Client>
  static std::string ask(Client& client, std::string json, int64_t& cursor) {
    const size_t at = json.find("CURSOR");
    const std::string number = "{'$numberLong': '" + std::to_string(cursor) + "'}";
    if (at != std::string::npos) json.replace(at, 6, number);
    Writer command;
    const std::string bytes = from_json(json);
    command.append_all(Document(bytes));
    std::string reply = client.ask(std::move(command));
    cursor = cursor_of(reply);
    return reply;
  }
  static std::multiset<std::string> sorted(const std::string& reply) {
    std::multiset<std::string> out;
    const Document cursor = Document(reply).find("cursor")->as_document();
    for (const Element& one : cursor.find("firstBatch")->as_document()) {
      out.insert(bson::to_json(one.value, 100'000));
    }
    return out;
  }
  static std::vector<std::string> told(const std::vector<OplogWrite>& writes) {
    std::vector<std::string> out;
    for (const OplogWrite& write : writes) {
      std::string line(1, static_cast<char>(write.kind));
      line += " " + write.ns + " " + bson::to_json(write.id.view()) + " " +
              bson::to_json(Document(write.o)) + " #" + std::to_string(write.txn_number);
      for (const int32_t stmt_id : write.stmt_ids) line += "/" + std::to_string(stmt_id);
      line +=
          write.lsid_uid.size() == 32 ? " of " + std::to_string(uint8_t(write.lsid_uid[0])) : "";
      out.push_back(std::move(line));
    }
    return out;
  }

  std::unique_ptr<RawClient> real_;
  std::unique_ptr<MemoryClient> memory_client_;
  Timestamp since_;
  int64_t real_cursor_ = 0;
  int64_t memory_cursor_ = 0;
};

TEST_F(MemoryMongodTest, InsertsAndFindsById) {
  script({"{'insert': 'c', 'documents': [{'_id': 1, 'n': 1}, {'_id': 'a', 'o': {'x': [1, 2]}}]}",
          "{'find': 'c', 'filter': {'_id': 1}}", "{'find': 'c', 'filter': {'_id': 1.0}}",
          "{'find': 'c', 'filter': {'_id': 3}}", "{'find': 'nothing', 'filter': {}}",
          "{'find': 'c', 'filter': {'_id': {'$in': [1, 7]}}, 'singleBatch': true}"});
}

TEST_F(MemoryMongodTest, RefusesADuplicateAndStopsWhereItIsOrdered) {
  script({"{'insert': 'c', 'documents': [{'_id': 1}]}",
          "{'insert': 'c', 'documents': [{'_id': 2}, {'_id': 1}, {'_id': 3}]}",
          "{'insert': 'c', 'ordered': false, 'documents': [{'_id': 4}, {'_id': 1}, {'_id': 5}]}",
          "{'insert': 'c', 'documents': [{'_id': {'$numberLong': '1'}}]}"});
}

TEST_F(MemoryMongodTest, UpdatesByOperators) {
  script(
      {"{'insert': 'c', 'documents': [{'_id': 1, 'n': 1, 'o': {'a': 1}, 's': 'x'}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$set': {'s': 'y', 'o.b': 2}}}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$set': {'s': 'y'}}}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$inc': {'n': 2, 'm.k': 1.5}}}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$unset': {'o.a': '', 'q': ''}}}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$set': {'z': 1, 'b': 2, 'k': 3}}}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 2}, 'u': {'$inc': {'n': 1}}},"
       " {'q': {'_id': 1}, 'u': {'$inc': {'n': 1}, '$set': {'a': 0}, '$unset': {'z': ''}}}]}",
       "{'find': 'c', 'filter': {'_id': 1}}"});
}

TEST_F(MemoryMongodTest, ReplacesAndUpserts) {
  script(
      {"{'insert': 'c', 'documents': [{'_id': 1, 'n': 1}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'x': 1, 'y': 2}}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'_id': 1, 'x': 1}}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 2}, 'u': {'$inc': {'n': 1}}, 'upsert': true}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 2}, 'u': {'$inc': {'n': 1}}, 'upsert': true}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 3, 'k': 'v'}, 'u': {'x': 1}, 'upsert': true}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 4, 'k': 'v'}, 'upsert': true,"
       " 'u': {'$set': {'a': 1}, '$setOnInsert': {'b': 2}}}]}",
       "{'find': 'c', 'filter': {'_id': 4}}"});
}

TEST_F(MemoryMongodTest, RefusesWhatCannotBeUpdated) {
  script({"{'insert': 'c', 'documents': [{'_id': 1, 's': 'x'}]}",
          "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$inc': {'s': 1}}}]}",
          "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$set': {'s.a': 1}}}]}",
          "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'_id': 2, 'n': 1}}]}",
          "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$set': {'_id': 2}}}]}",
          "{'update': 'c', 'updates': [{'q': {'_id': 2, 's': 'x'}, 'u': {'$inc': {'s': 1}},"
          " 'upsert': true}]}"});
}

TEST_F(MemoryMongodTest, FiltersAndUpdatesMany) {
  script(
      {"{'insert': 'c', 'documents': [{'_id': 1, 'n': 1}, {'_id': 2, 'n': 2, 's': 'x'},"
       " {'_id': 3, 'n': 3, 'o': {'k': 1}}]}",
       "{'update': 'c', 'updates': [{'q': {'n': {'$gte': 2}}, 'u': {'$inc': {'n': 10}},"
       " 'multi': true}]}",
       "{'find': 'c', 'filter': {'o.k': 1}}", "{'find': 'c', 'filter': {'s': null, 'n': 1}}",
       "{'find': 'c', 'filter': {'$and': [{'_id': {'$in': [1, 2]}}, {'s': 'x'}]},"
       " 'projection': {'_id': 1}}",
       "{'find': 'c', 'filter': {'_id': 3}, 'projection': {'o.k': 1}}",
       "{'find': 'c', 'filter': {'_id': 3}, 'projection': {'_id': 1,"
       " 'bytes': {'$bsonSize': '$$ROOT'}}}",
       "{'find': 'c', 'filter': {'s': {'$exists': true}}, 'limit': 1, 'singleBatch': true}"});
}

TEST_F(MemoryMongodTest, Deletes) {
  script(
      {"{'insert': 'c', 'documents': [{'_id': 1, 'n': 1}, {'_id': 2, 'n': 1}, {'_id': 3}]}",
       "{'delete': 'c', 'deletes': [{'q': {'_id': 3}, 'limit': 1}]}",
       "{'delete': 'c', 'deletes': [{'q': {'_id': 3}, 'limit': 1}]}",
       "{'delete': 'c', 'deletes': [{'q': {'n': 1}, 'limit': 0}, {'q': {'_id': 9}, 'limit': 1}]}",
       "{'insert': 'c', 'documents': [{'_id': 3, 'again': true}]}"});
}

TEST_F(MemoryMongodTest, FindsAndModifies) {
  script({"{'findAndModify': 'c', 'query': {'_id': 1}, 'update': {'$inc': {'n': 1}}}",
          "{'findAndModify': 'c', 'query': {'_id': 1}, 'update': {'$inc': {'n': 1}},"
          " 'upsert': true, 'new': true}",
          "{'findAndModify': 'c', 'query': {'_id': 1}, 'update': {'$inc': {'n': 1}}}",
          "{'findAndModify': 'c', 'query': {'_id': 1}, 'update': {'n': 7}, 'new': true}",
          "{'findAndModify': 'c', 'query': {'_id': 1}, 'remove': true}",
          "{'findAndModify': 'c', 'query': {'_id': 1}, 'remove': true}"});
}

TEST_F(MemoryMongodTest, GivesManyInBatches) {
  script(
      {"{'insert': 'c', 'documents': [{'_id': 1}, {'_id': 2}, {'_id': 3}, {'_id': 4}, {'_id': 5}]}",
       "{'find': 'c', 'filter': {}, 'batchSize': 2}",
       "{'getMore': CURSOR, 'collection': 'c', 'batchSize': 2}",
       "{'getMore': CURSOR, 'collection': 'c'}",
       "{'getMore': {'$numberLong': '12345'},"
       " 'collection': 'c'}"});
}

TEST_F(MemoryMongodTest, RunsNoStatementTwiceUnderOneNumber) {
  const std::string insert =
      "{'insert': 'c', 'documents': [{'_id': 1, 'n': 1}, {'_id': 2}],"
      " 'txnNumber': {'$numberLong': '1'}}";
  const std::string update =
      "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$inc': {'n': 1}}},"
      " {'q': {'_id': 3}, 'u': {'$inc': {'n': 1}}, 'upsert': true}],"
      " 'txnNumber': {'$numberLong': '2'}, 'stmtIds': [5, 8]}";
  const std::string replace =
      "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'n': 9, 'k': 1}}],"
      " 'txnNumber': {'$numberLong': '3'}}";
  const std::string modify =
      "{'findAndModify': 'c', 'query': {'_id': 1}, 'update': {'$set': {'a.b': 1, 'n': 3}},"
      " 'new': true, 'txnNumber': {'$numberLong': '4'}}";
  const std::string remove =
      "{'delete': 'c', 'deletes': [{'q': {'_id': 2}, 'limit': 1}],"
      " 'txnNumber': {'$numberLong': '5'}}";
  script({insert, insert, update, update, replace, replace, modify, modify, remove, remove});
  both(insert);  // the session has a newer number
  same_oplog();
}

TEST_F(MemoryMongodTest, TheOplogTellsWhatAnUpdateDid) {
  script(
      {"{'insert': 'c', 'documents': [{'_id': 1, 'a': 1, 'b': {'x': 1, 'y': {'z': 1}}, 'c': 2}]}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$set': {'a': 2, 'n': 1},"
       " '$unset': {'c': ''}}}], 'txnNumber': {'$numberLong': '1'}}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$inc': {'b.y.z': 1},"
       " '$set': {'b.w': 0}, '$unset': {'b.x': ''}}}], 'txnNumber': {'$numberLong': '2'}}",
       "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$set': {'a': 2}}}],"
       " 'txnNumber': {'$numberLong': '3'}}"});
  same_oplog();
}

TEST_F(MemoryMongodTest, SaysWhatItDoesNotKnow) { script({"{'noSuchThing': 1}", "{'ping': 1}"}); }

// ---- what only the one in memory can show
TEST_F(MemoryMongodTest, ACrashLosesTheTailItsOplogAndItsRetries) {
  const std::string insert =
      "{'insert': 'c', 'documents': [{'_id': 1, 'n': 1}], 'writeConcern': {'w': 1},"
      " 'txnNumber': {'$numberLong': '1'}}";
  const std::string update =
      "{'update': 'c', 'updates': [{'q': {'_id': 1}, 'u': {'$inc': {'n': 1}}}],"
      " 'writeConcern': {'w': 1}, 'txnNumber': {'$numberLong': '2'}}";
  script({insert, update});
  EXPECT_EQ(memory_.unjournaled(), 2u);
  EXPECT_EQ(memory_.kill(1), 1u);
  EXPECT_FALSE(MemoryMongodStore(memory_).ping());
  const std::string before = memory_.documents().process_id();
  memory_.start();
  EXPECT_NE(memory_.documents().process_id(), before);
  EXPECT_EQ(bson::to_json(Document(*memory_.documents().document(db_ + ".c", bson::make_int32(1)))),
            R"({"_id": 1, "n": 1})");
  memory_.kill(0);
  memory_.start();
  EXPECT_EQ(memory_.unjournaled(), 0u);
  EXPECT_EQ(memory_.documents().size(), 1u) << "what survived one crash survives the next";
  MemoryClient client(memory_, db_, std::string(16, 'l'));
  run(R"({"delete": "c", "deletes": [{"q": {}, "limit": 0}]})");
  Writer removal;
  const std::string bytes = from_json("{'delete': 'c', 'deletes': [{'q': {}, 'limit': 0}]}");
  removal.append_all(Document(bytes));
  (void)client.ask(std::move(removal));
}

INSTANTIATE_TEST_SUITE_P(MemoryMongod, StoreContract,
                         testing::Values(StoreMaker{
                             "Memory",
                             [] {
                               static MemoryMongod mongod({"memory:27017", [] { return 1u; }});
                               return std::make_unique<MemoryMongodStore>(mongod);
                             }}),
                         store_name);

}  // namespace
}  // namespace outrigger::world
