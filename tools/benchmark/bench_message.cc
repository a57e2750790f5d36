#include "tools/benchmark/bench_message.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace outrigger::bench {
namespace {

using bson::Document;
using bson::Type;

constexpr size_t kManyStatements = 1'000;
constexpr size_t kManyBytes = 8u << 20;

// Stand where numbers will be written; no document holds them otherwise.
constexpr int64_t kIdMarker = 0x7ea1d001c0ffee01;
constexpr int64_t kSkuMarker = 0x7ea1d002c0ffee02;
constexpr int64_t kValueMarker = 0x7ea1d003c0ffee03;
constexpr int64_t kTxnMarker = 0x7ea1d004c0ffee04;

void write_usual(bson::Writer& out, int64_t value) {
  out.int64("_id", kIdMarker).int64("sku", kSkuMarker).int64("value", value);
  out.string("name", "Adjustable bench, birch").string("city", "Trondheim");
  out.string("email", "someone@example.org").real("price", 1249.5).int32("quantity", 12);
  out.boolean("active", true).date("created", 1'700'000'000'000);
  out.string("note", "Deliver to the back door, ring twice.");
  out.string("text",
             "A solid working surface on trestles, with a vice at the left end and a row of dog "
             "holes along the front edge.");
}

// Text that a compressor cannot fold away, the same every time.
std::string filling(size_t bytes) {
  std::string out(bytes, ' ');
  uint32_t state = 1;
  for (char& letter : out) {
    state = state * 1'664'525 + 1'013'904'223;
    letter = static_cast<char>('a' + (state >> 24) % 26);
  }
  return out;
}

std::string document(const Shape& shape, int64_t value) {
  bson::Writer out;
  if (shape.fields == Shape().fields && shape.document_bytes == 0) {
    write_usual(out, value);
    return out.finish();
  }
  constexpr int kNumbers = 3;
  constexpr int kNumbersBytes = 50;
  constexpr int kAroundText = 12;  // type, name, length and end
  const int texts = std::max(shape.fields - kNumbers, 1);
  const int each = std::max(shape.document_bytes - kNumbersBytes, 0) / texts - kAroundText;
  out.int64("_id", kIdMarker).int64("sku", kSkuMarker).int64("value", value);
  const std::string text = filling(static_cast<size_t>(std::max(each, 8)));
  for (int i = 0; i < texts; ++i) out.string(fmt::format("f{}", i), text);
  return out.finish();
}

void write_filter(bson::Writer& out, std::string_view name, Operation operation) {
  out.open_document(name);
  if (operation == Operation::kUpdateByField) {
    out.int64("sku", kSkuMarker);
  } else {
    out.int64("_id", kIdMarker);
  }
  out.close();
}

std::string update(const Shape& shape) {
  bson::Writer out;
  write_filter(out, "q", shape.operation);
  if (shape.operation == Operation::kReplaceById) {
    out.document("u", Document(document(shape, kValueMarker)));
  } else if (shape.operation == Operation::kPipelineById) {
    out.open_array("u").open_document("0").open_document("$set");
    out.int64("value", kValueMarker).close().close().close();
  } else {
    out.open_document("u").open_document("$set").int64("value", kValueMarker).close().close();
  }
  return out.finish();
}

void write_concern(bson::Writer& out, const Shape& shape) {
  out.open_document("writeConcern");
  if (shape.majority) {
    out.string("w", "majority");
  } else {
    out.int32("w", 1);
  }
  if (shape.journaled) out.boolean("j", true);
  out.close();
}

bool is_update(Operation operation) {
  return updates(operation) && operation != Operation::kFindAndModify;
}

// Only the commit says how durable it is to be.
void write_part(bson::Writer& out, const Shape& shape) {
  if (shape.part == Part::kNone || shape.part == Part::kCommits) write_concern(out, shape);
  if (shape.retryable || shape.part != Part::kNone) out.int64("txnNumber", kTxnMarker);
  if (shape.part != Part::kNone) out.boolean("autocommit", false);
  if (shape.part == Part::kBegins) out.boolean("startTransaction", true);
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
  if (shape.part == Part::kCommits) {
    out.int32("commitTransaction", 1);
  } else if (shape.operation == Operation::kFindAndModify) {
    out.string("findAndModify", shape.collection);
    write_filter(out, "query", shape.operation);
    out.open_document("update").open_document("$set").int64("value", kValueMarker).close();
    out.open_document("$inc").int32("quantity", 1).close().close();
  } else {
    out.string(inserts(shape.operation) ? "insert" : "update", shape.collection);
    // A copier does not care for the order of a batch.
    out.boolean("ordered", !shape.journaled);
  }
  // As every driver sends it.
  out.open_document("lsid").binary("id", 4, session).close();
  write_part(out, shape);
  out.string("$db", shape.part == Part::kCommits ? "admin" : shape.database);
  return out.finish();
}

}  // namespace

std::optional<Operation> parse_operation(std::string_view name) {
  if (name == "find") return Operation::kFind;
  if (name == "insertOne") return Operation::kInsertOne;
  if (name == "insertMany") return Operation::kInsertMany;
  if (name == "updateById") return Operation::kUpdateById;
  if (name == "updateMany") return Operation::kUpdateMany;
  if (name == "updateByField") return Operation::kUpdateByField;
  if (name == "findAndModify") return Operation::kFindAndModify;
  if (name == "replaceById") return Operation::kReplaceById;
  if (name == "pipelineById") return Operation::kPipelineById;
  if (name == "load") return Operation::kLoad;
  return std::nullopt;
}

size_t statements_of(const Shape& shape) {
  if (shape.operation == Operation::kUpdateMany) return kManyStatements;
  if (shape.operation != Operation::kInsertMany && shape.operation != Operation::kLoad) return 1;
  const auto bytes = static_cast<size_t>(std::max(shape.document_bytes, 1));
  return std::clamp<size_t>(kManyBytes / bytes, 1, kManyStatements);
}

bool inserts(Operation operation) {
  return operation == Operation::kInsertOne || operation == Operation::kInsertMany ||
         operation == Operation::kLoad;
}

bool updates(Operation operation) { return operation != Operation::kFind && !inserts(operation); }

Message::Message(const Shape& shape) : statements_(statements_of(shape)) {
  const std::string body = command(shape);
  std::vector<wire::SequenceOut> sequences;
  std::string statements;
  if (shape.part == Part::kCommits) {
    // It has none.
  } else if (inserts(shape.operation)) {
    const std::string one = document(shape, 0);
    for (size_t i = 0; i < statements_; ++i) statements += one;
    sequences.push_back({"documents", statements});
  } else if (is_update(shape.operation)) {
    const std::string one = update(shape);
    for (size_t i = 0; i < statements_; ++i) statements += one;
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
  // A single statement may name its document twice.
  const int64_t step = statements_ > 1 ? 1 : 0;
  for (size_t i = 0; i < ids_.size(); ++i) put(ids_[i], id + step * static_cast<int64_t>(i));
  for (size_t i = 0; i < skus_.size(); ++i) {
    put(skus_[i], id + step * static_cast<int64_t>(i) + kSkuOffset);
  }
  for (const size_t at : values_) put(at, value);
  for (const size_t at : txn_numbers_) put(at, ++txn_number_);
}

void Message::aim_statement(size_t index, int64_t id) { put(ids_[index], id); }

void Message::aim_transaction(int64_t txn_number) {
  for (const size_t at : txn_numbers_) put(at, txn_number);
}

std::optional<std::string> complaint(std::string_view reply, size_t statements) {
  const auto parsed = wire::parse_op_msg_trusted(reply);
  if (!parsed) return "not a reply: " + parsed.error().message;
  bool ok = false;
  bool found = statements == 0;  // it speaks of none
  for (const bson::Element& field : parsed->body) {
    if (field.name == "ok") ok = field.value.truthy();
    if (field.name == "writeErrors" || field.name == "writeConcernError") {
      return bson::to_json(parsed->body, 400);
    }
    if (field.name == "n") {
      found = field.value.to_int64() == static_cast<int64_t>(statements);
    }
    // Of a findAndModify: the document as it was.
    if (field.name == "value") found = field.value.type == Type::kDocument;
    if (field.name == "cursor" && field.value.type == Type::kDocument) {
      const auto batch = field.value.as_document().find("firstBatch");
      found = batch && batch->type == Type::kArray && !batch->as_document().empty();
    }
  }
  if (ok && found) return std::nullopt;
  return bson::to_json(parsed->body, 400);
}

}  // namespace outrigger::bench
