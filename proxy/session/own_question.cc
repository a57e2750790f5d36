#include "proxy/session/own_question.h"

#include <algorithm>
#include <limits>

namespace outrigger {
namespace {

using bson::Document;
using bson::Type;
using bson::Value;
using bson::Writer;

std::string stage(std::string_view name, const Value& value) {
  return Writer().value(name, value).finish();
}

// Of a number of any type; mongod has refused what is none.
int64_t whole(const std::optional<Value>& value) {
  if (!value) return 0;
  switch (value->type) {
    case Type::kInt32:
      return value->as_int32();
    case Type::kInt64:
      return value->as_int64();
    case Type::kDouble: {
      constexpr double kMax = 1e15;
      return static_cast<int64_t>(std::clamp(value->as_double(), -kMax, kMax));
    }
    default:
      return 0;
  }
}

bool has_fields(const std::optional<Value>& value) {
  return value && value->type == Type::kDocument && value->as_document().first();
}

void add_match(OwnQuestion& question, const std::optional<Value>& filter) {
  if (has_fields(filter)) question.matches.push_back(stage("$match", *filter));
}

void add_number(OwnQuestion& question, std::string_view name, int64_t number) {
  if (number > 0) question.rest.push_back(Writer().int64(name, number).finish());
}

// A negative limit means one batch of so many.
void add_skip_and_limit(OwnQuestion& question, const Document& body) {
  const int64_t skip = std::max<int64_t>(whole(body.find("skip")), 0);
  const int64_t said = whole(body.find("limit"));
  const int64_t limit = said < 0 ? -std::max(said, -std::numeric_limits<int64_t>::max()) : said;
  if (limit > 0 && question.rest.empty()) {
    question.enough = static_cast<uint64_t>(skip) + static_cast<uint64_t>(limit);
  }
  add_number(question, "$skip", skip);
  add_number(question, "$limit", limit);
}

void find(OwnQuestion& question, const Document& body) {
  add_match(question, body.find("filter"));
  const auto sort = body.find("sort");
  if (has_fields(sort)) question.rest.push_back(stage("$sort", *sort));
  add_skip_and_limit(question, body);
  const auto projection = body.find("projection");
  if (has_fields(projection)) question.rest.push_back(stage("$project", *projection));
}

void count(OwnQuestion& question, const Document& body) {
  question.kind = OwnQuestion::Kind::kCount;
  add_match(question, body.find("query"));
  add_skip_and_limit(question, body);
  question.rest.push_back(Writer().string("$count", "n").finish());
}

void distinct(OwnQuestion& question, const Document& body) {
  question.kind = OwnQuestion::Kind::kDistinct;
  add_match(question, body.find("query"));
  const auto key = body.find("key");
  if (!key || key->type != Type::kString) return;
  const std::string path = "$" + std::string(key->as_string());
  question.rest.push_back(Writer().string("$unwind", path).finish());
  question.rest.push_back(Writer().open_document("$group").string("_id", path).close().finish());
}

void aggregate(OwnQuestion& question, const Document& body) {
  const auto pipeline = body.find("pipeline");
  if (!pipeline || pipeline->type != Type::kArray) return;
  for (const bson::Element& each : pipeline->as_document()) {
    const auto op = each.value.as_document().first();
    const bool is_match = op && op->name == "$match" && question.rest.empty();
    if (is_match) question.matches.emplace_back(each.value.as_document().bytes());
    if (is_match) continue;
    if (question.rest.empty() && op && op->name == "$limit") {
      question.enough = static_cast<uint64_t>(std::max<int64_t>(whole(op->value), 0));
    }
    question.rest.emplace_back(each.value.as_document().bytes());
  }
}

}  // namespace

std::optional<OwnQuestion> own_question(const wire::OpMsg& parsed) {
  OwnQuestion question;
  const std::string_view name = parsed.command_name();
  if (name == "listCollections") {
    add_match(question, parsed.body.find("filter"));
    return question;
  }
  const auto collection = parsed.body.first();
  if (!collection || collection->value.type != Type::kString) return std::nullopt;
  question.collection = collection->value.as_string();
  if (name == "find") {
    find(question, parsed.body);
  } else if (name == "count") {
    count(question, parsed.body);
  } else if (name == "distinct") {
    distinct(question, parsed.body);
  } else if (name == "aggregate" && !parsed.body.has("explain")) {
    aggregate(question, parsed.body);
  } else {
    return std::nullopt;
  }
  return question;
}

std::string own_aggregation(const wire::OpMsg& parsed, const std::vector<std::string>& documents,
                            const std::vector<std::string>& stages) {
  Writer out;
  out.int32("aggregate", 1).open_array("pipeline").open_document("0").open_array("$documents");
  for (size_t i = 0; i < documents.size(); ++i) {
    // Not a field of theirs is an expression.
    out.open_document(bson::index_name(i)).document("$literal", Document(documents[i])).close();
  }
  out.close().close();
  for (size_t i = 0; i < stages.size(); ++i) {
    out.document(bson::index_name(i + 1), Document(stages[i]));
  }
  out.close().open_document("cursor");
  out.int32("batchSize", std::numeric_limits<int32_t>::max()).close();
  for (const char* name : {"let", "collation", "maxTimeMS"}) {
    const auto value = parsed.body.find(name);
    if (value) out.value(name, *value);
  }
  return out.string("$db", kOwnDatabase).finish();
}

std::vector<Document> first_batch(const Document& reply) {
  std::vector<Document> documents;
  const auto cursor = reply.find("cursor");
  if (!cursor || cursor->type != Type::kDocument) return documents;
  const auto batch = cursor->as_document().find("firstBatch");
  if (!batch || batch->type != Type::kArray) return documents;
  for (const bson::Element& each : batch->as_document()) {
    if (each.value.type == Type::kDocument) documents.push_back(each.value.as_document());
  }
  return documents;
}

bool has_more(const Document& reply) {
  const auto cursor = reply.find("cursor");
  return cursor && cursor->type == Type::kDocument && whole(cursor->as_document().find("id")) != 0;
}

std::string own_answer(const OwnQuestion& question, const Document& reply) {
  const std::vector<Document> found = first_batch(reply);
  Writer out;
  switch (question.kind) {
    case OwnQuestion::Kind::kCount: {
      const auto n = found.empty() ? std::nullopt : found.front().find("n");
      out.int32("n", static_cast<int32_t>(whole(n)));
      break;
    }
    case OwnQuestion::Kind::kDistinct: {
      out.open_array("values");
      size_t at = 0;
      for (const Document& each : found) {
        const auto value = each.find("_id");
        if (value) out.value(bson::index_name(at++), *value);
      }
      out.close();
      break;
    }
    case OwnQuestion::Kind::kCursor: {
      out.open_document("cursor").open_array("firstBatch");
      for (size_t i = 0; i < found.size(); ++i) out.document(bson::index_name(i), found[i]);
      const std::string& of =
          question.collection.empty() ? "$cmd.listCollections" : question.collection;
      out.close().int64("id", 0).string("ns", std::string(kOwnDatabase) + "." + of).close();
      break;
    }
  }
  for (const bson::Element& each : reply) {
    if (each.name != "cursor") out.element(each);
  }
  return out.finish();
}

}  // namespace outrigger
