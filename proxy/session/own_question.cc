#include "proxy/session/own_question.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "proxy/capture/reads.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Type;
using bson::Value;
using bson::Writer;

std::string stage(std::string_view name, const Value& value) {
  return Writer().value(name, value).finish();
}

// Nothing: of a type that is for mongod to count with.
std::optional<int64_t> whole(const std::optional<Value>& value) {
  if (!value) return 0;
  if (value->type == Type::kInt32) return value->as_int32();
  if (value->type == Type::kInt64) return value->as_int64();
  if (value->type != Type::kDouble || std::isnan(value->as_double())) return std::nullopt;
  constexpr double kMax = 1e15;
  return static_cast<int64_t>(std::clamp(value->as_double(), -kMax, kMax));
}

bool has_fields(const std::optional<Value>& value) {
  return value && value->type == Type::kDocument && value->as_document().first();
}

void add_match(OwnQuestion& question, const std::optional<Value>& filter) {
  if (has_fields(filter)) question.matches.push_back(stage("$match", *filter));
}

// A negative limit means one batch of so many.
void add_skip_and_limit(OwnQuestion& question, const Document& body) {
  const auto asked_skip = body.find("skip");
  const auto asked_limit = body.find("limit");
  const std::optional<int64_t> skip = whole(asked_skip);
  std::optional<int64_t> limit = whole(asked_limit);
  if (limit && *limit < 0) limit = -std::max(*limit, -std::numeric_limits<int64_t>::max());
  if (skip && *skip >= 0 && limit && *limit > 0 && question.rest.empty()) {
    question.enough = static_cast<uint64_t>(*skip) + static_cast<uint64_t>(*limit);
  }
  if (!skip) question.rest.push_back(stage("$skip", *asked_skip));
  if (skip.value_or(0) > 0) question.rest.push_back(Writer().int64("$skip", *skip).finish());
  if (!limit) question.rest.push_back(stage("$limit", *asked_limit));
  if (limit.value_or(0) > 0) question.rest.push_back(Writer().int64("$limit", *limit).finish());
}

void find(OwnQuestion& question, const Document& body) {
  add_match(question, body.find("filter"));
  const auto sort = body.find("sort");
  const bool is_natural = has_fields(sort) && sort->as_document().has("$natural");
  if (has_fields(sort) && !is_natural) question.rest.push_back(stage("$sort", *sort));
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

// Goes into every array on the path, also one within another's elements.
void distinct(OwnQuestion& question, const Document& body) {
  question.kind = OwnQuestion::Kind::kDistinct;
  add_match(question, body.find("query"));
  const auto key = body.find("key");
  if (!key || key->type != Type::kString) return;
  const std::string path(key->as_string());
  for (size_t end = path.find('.');; end = path.find('.', end + 1)) {
    Writer unwind;
    unwind.open_document("$unwind").string("path", "$" + path.substr(0, end));
    unwind.boolean("preserveNullAndEmptyArrays", true).close();
    question.rest.push_back(unwind.finish());
    if (end == std::string::npos) break;
  }
  Writer is_there;
  is_there.open_document("$match").open_document(path).boolean("$exists", true).close().close();
  question.rest.push_back(is_there.finish());
  Writer group;
  question.rest.push_back(group.open_document("$group").string("_id", "$" + path).close().finish());
}

void aggregate(OwnQuestion& question, const Document& body) {
  const auto pipeline = body.find("pipeline");
  if (!pipeline || pipeline->type != Type::kArray) return;
  for (const bson::Element& each : pipeline->as_document()) {
    if (each.value.type != Type::kDocument) continue;
    const auto op = each.value.as_document().first();
    const bool is_match = op && op->name == "$match" && question.rest.empty();
    if (is_match) question.matches.emplace_back(each.value.as_document().bytes());
    if (is_match) continue;
    const bool is_limit = question.rest.empty() && op && op->name == "$limit";
    const int64_t limit = is_limit ? whole(op->value).value_or(0) : 0;
    if (limit > 0) question.enough = static_cast<uint64_t>(limit);
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

std::string why_not_own(const wire::OpMsg& parsed) {
  for (const char* name : {"min", "max", "returnKey", "showRecordId", "tailable"}) {
    const auto value = parsed.body.find(name);
    const bool is_off = value && value->type == Type::kBool && !value->as_bool();
    if (value && !is_off) return name;
  }
  const auto pipeline = parsed.body.find("pipeline");
  if (!pipeline || pipeline->type != Type::kArray) return {};
  const auto first = pipeline->as_document().first();
  if (!first || first->value.type != Type::kDocument) return {};
  return first->value.as_document().has("$changeStream") ? "$changeStream" : "";
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

int64_t counted(const Document& reply) {
  int64_t n = 0;
  show_batch(reply, [&](const Document& each) { n = whole(each.find("n")).value_or(0); });
  return n;
}

std::string own_answer(const OwnQuestion& question, const Document& reply, int64_t counted_before) {
  Writer out;
  size_t at = 0;
  switch (question.kind) {
    case OwnQuestion::Kind::kCount:
      out.int32("n", static_cast<int32_t>(counted(reply) + counted_before));
      break;
    case OwnQuestion::Kind::kDistinct: {
      out.open_array("values");
      show_batch(reply, [&](const Document& each) {
        const auto value = each.find("_id");
        if (value) out.value(bson::index_name(at++), *value);
      });
      out.close();
      break;
    }
    case OwnQuestion::Kind::kCursor: {
      out.open_document("cursor").open_array("firstBatch");
      show_batch(reply, [&](const Document& each) { out.document(bson::index_name(at++), each); });
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
