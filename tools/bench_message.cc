#include "tools/bench_message.h"

#include <fmt/format.h>

#include <cstring>

namespace outrigger::bench {
namespace {

using bson::Document;
using bson::Type;

constexpr size_t kManyStatements = 1'000;

// Stand where numbers will be written; no document holds them otherwise.
constexpr int64_t kIdMarker = 0x7ea1d001c0ffee01;
constexpr int64_t kSkuMarker = 0x7ea1d002c0ffee02;
constexpr int64_t kValueMarker = 0x7ea1d003c0ffee03;
constexpr int64_t kTxnMarker = 0x7ea1d004c0ffee04;

std::string document() {
  bson::Writer out;
  out.int64("_id", kIdMarker).int64("sku", kSkuMarker).int64("value", 0);
  out.string("name", "Adjustable bench, birch").string("city", "Trondheim");
  out.string("email", "someone@example.org").real("price", 1249.5).int32("quantity", 12);
  out.boolean("active", true).date("created", 1'700'000'000'000);
  out.string("note", "Deliver to the back door, ring twice.");
  out.string("text",
             "A solid working surface on trestles, with a vice at the left end and a row of dog "
             "holes along the front edge.");
  return out.finish();
}

std::string update(Operation operation) {
  bson::Writer out;
  out.open_document("q");
  if (operation == Operation::kUpdateById) {
    out.int64("_id", kIdMarker);
  } else {
    out.int64("sku", kSkuMarker);
  }
  out.close();
  out.open_document("u").open_document("$set").int64("value", kValueMarker).close().close();
  return out.finish();
}

std::string command(const Shape& shape) {
  bson::Writer out;
  char lsid[16] = {'b', 'e', 'n', 'c', 'h'};
  std::memcpy(lsid + 8, &shape.session, sizeof shape.session);
  const std::string_view session(lsid, sizeof lsid);
  if (shape.operation == Operation::kFind) {
    out.string("find", shape.collection);
    out.open_document("filter").int64("_id", kIdMarker).close();
    out.int32("limit", 1).boolean("singleBatch", true);
    out.open_document("lsid").binary("id", 4, session).close().string("$db", shape.database);
    return out.finish();
  }
  out.string(inserts(shape.operation) ? "insert" : "update", shape.collection);
  out.boolean("ordered", true);
  out.open_document("writeConcern");
  if (shape.majority) {
    out.string("w", "majority");
  } else {
    out.int32("w", 1);
  }
  out.close();
  // As every driver sends it.
  out.open_document("lsid").binary("id", 4, session).close();
  if (shape.retryable) out.int64("txnNumber", kTxnMarker);
  out.string("$db", shape.database);
  return out.finish();
}

}  // namespace

std::optional<Operation> parse_operation(std::string_view name) {
  if (name == "find") return Operation::kFind;
  if (name == "insertOne") return Operation::kInsertOne;
  if (name == "insertMany") return Operation::kInsertMany;
  if (name == "updateById") return Operation::kUpdateById;
  if (name == "updateByField") return Operation::kUpdateByField;
  if (name == "load") return Operation::kLoad;
  return std::nullopt;
}

size_t statements_of(Operation operation) {
  return operation == Operation::kInsertMany || operation == Operation::kLoad ? kManyStatements : 1;
}

bool inserts(Operation operation) {
  return operation == Operation::kInsertOne || operation == Operation::kInsertMany ||
         operation == Operation::kLoad;
}

bool updates(Operation operation) {
  return operation == Operation::kUpdateById || operation == Operation::kUpdateByField;
}

Message::Message(const Shape& shape) {
  const std::string body = command(shape);
  std::vector<wire::SequenceOut> sequences;
  std::string statements;
  if (inserts(shape.operation)) {
    for (size_t i = 0; i < statements_of(shape.operation); ++i) statements += document();
    sequences.push_back({"documents", statements});
  } else if (updates(shape.operation)) {
    statements = update(shape.operation);
    sequences.push_back({"updates", statements});
  }
  bytes_ = wire::build_op_msg(1, 0, 0, Document(body), sequences);
  ids_ = find(kIdMarker);
  skus_ = find(kSkuMarker);
  values_ = find(kValueMarker);
  txn_numbers_ = find(kTxnMarker);
}

std::vector<size_t> Message::find(int64_t marker) const {
  const std::string_view wanted(reinterpret_cast<const char*>(&marker), sizeof marker);
  std::vector<size_t> out;
  for (size_t at = bytes_.find(wanted); at != std::string::npos; at = bytes_.find(wanted, at + 8)) {
    out.push_back(at);
  }
  return out;
}

void Message::put(size_t at, int64_t number) {
  std::memcpy(bytes_.data() + at, &number, sizeof number);
}

void Message::aim(int64_t id, int64_t value) {
  for (size_t i = 0; i < ids_.size(); ++i) put(ids_[i], id + static_cast<int64_t>(i));
  for (size_t i = 0; i < skus_.size(); ++i) {
    put(skus_[i], id + static_cast<int64_t>(i) + kSkuOffset);
  }
  for (const size_t at : values_) put(at, value);
  for (const size_t at : txn_numbers_) put(at, ++txn_number_);
}

std::optional<std::string> complaint(std::string_view reply, Operation operation) {
  const auto parsed = wire::parse_op_msg_trusted(reply);
  if (!parsed) return "not a reply: " + parsed.error().message;
  bool ok = false;
  bool found = false;
  for (const bson::Element& field : parsed->body) {
    if (field.name == "ok") ok = field.value.truthy();
    if (field.name == "writeErrors" || field.name == "writeConcernError") {
      return bson::to_json(parsed->body, 400);
    }
    if (field.name == "n") {
      found = field.value.to_int64() == static_cast<int64_t>(statements_of(operation));
    }
    if (field.name == "cursor" && field.value.type == Type::kDocument) {
      const auto batch = field.value.as_document().find("firstBatch");
      found = batch && batch->type == Type::kArray && !batch->as_document().empty();
    }
  }
  if (ok && found) return std::nullopt;
  return bson::to_json(parsed->body, 400);
}

}  // namespace outrigger::bench
