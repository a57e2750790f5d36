#include "proxy/catalog/database_drop.h"

#include <fmt/format.h>

#include <utility>

#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/catalog_write.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;

// How often a database may have got further collections while it is dropped.
constexpr int kRoundsMax = 5;
constexpr const char* kViews = "system.views";  // is left when the last view has gone
// mongod lets in, and then refuses, a dropDatabase of anything but 1 (seen on 6.0.5).
constexpr int32_t kNotOne = 2;
constexpr int kMustBeOne = 5255100;

int code_in(const std::string& reply) {
  const auto parsed = wire::parse_op_msg_trusted(reply);
  return parsed ? wire::code_of(parsed->body) : wire::code::kProtocolError;
}

double number_of(const bson::Value& value) {
  if (value.type == bson::Type::kDouble) return value.as_double();
  return static_cast<double>(value.to_int64().value_or(0));
}

// The app's own command, of one of the database's collections.
std::string drop_message(const wire::OpMsg& parsed, std::string_view collection, int32_t id) {
  Writer out;
  out.string("drop", collection).string("$db", parsed.database());
  for (const char* name : {"writeConcern", "apiVersion", "apiStrict", "apiDeprecationErrors"}) {
    if (const auto value = parsed.body.find(name)) out.value(name, *value);
  }
  const std::string body = out.finish();
  return wire::build_op_msg(id, 0, 0, Document(body));
}

}  // namespace

net::Task<Answer> DatabaseDrop::run(const wire::OpMsg& parsed) {
  std::optional<Answer> refused = co_await refusal(parsed);
  if (refused) co_return std::move(*refused);
  bool is_any = false;
  for (int round = 0; round < kRoundsMax; ++round) {
    std::string database(parsed.database());
    Result<std::vector<std::string>> names = co_await collections(std::move(database));
    if (!names) co_return Answer::body(wire::overloaded_body(names.error().message()));
    if (names->empty()) break;
    is_any = true;
    std::optional<Answer> failed = co_await drop_all(parsed, *names);
    if (failed) co_return std::move(*failed);
  }
  Writer out;
  if (is_any) out.string("dropped", parsed.database());
  const std::string body = out.real("ok", 1).finish();
  Result<std::string> reply = co_await backend_.ping();  // has its times
  if (!reply) co_return Answer::close();
  const auto said = wire::parse_op_msg_trusted(*reply);
  if (!said) co_return Answer::close();
  co_return Answer::body(with_times(body, said->body));
}

// May the app's user, and is the command right? mongod says so of one it will not run.
net::Task<std::optional<Answer>> DatabaseDrop::refusal(const wire::OpMsg& parsed) {
  Writer out;
  for (const bson::Element& each : parsed.body) {
    const bool is_command = each.name == parsed.command_name();
    if (is_command && each.value.is_number()) out.int32(each.name, kNotOne);
    if (!is_command || !each.value.is_number()) out.element(each);
  }
  const std::string body = out.finish();
  std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  Result<std::string> reply = co_await backend_.call(std::move(message));
  if (!reply) co_return Answer::close();
  const bool may = code_in(*reply) == kMustBeOne;
  const double value = number_of(parsed.body.first()->value);
  if (may && value >= 1 && value < 2) co_return std::nullopt;  // as mongod reads it
  co_return Answer::message(std::move(*reply));
}

net::Task<std::optional<Answer>> DatabaseDrop::drop_all(
    const wire::OpMsg& parsed, const std::vector<std::string>& collections) {
  for (const std::string& collection : collections) {
    const std::string message = drop_message(parsed, collection, backend_.next_request_id());
    const auto drop = wire::parse_op_msg_trusted(message);
    const std::string ns = fmt::format("{}.{}", parsed.database(), collection);
    Answer done;
    if (context_.policy.replicates(ns)) {
      CatalogWrite write(context_, backend_, writing_);
      done = co_await write.run(message, *drop, ns);
    } else {
      context_.facts.forget(ns);
      std::string request = message;
      Result<std::string> reply = co_await backend_.call(std::move(request));
      if (!reply) co_return Answer::close();
      done = Answer::message(std::move(*reply));
    }
    if (done.kind != Answer::Kind::kMessage) co_return done;
    const int code = code_in(done.bytes);
    if (code != 0 && code != wire::code::kNamespaceNotFound) co_return done;
  }
  co_return std::nullopt;
}

// What a database goes with. What mongod keeps in it by itself is not dropped by anybody.
net::Task<Result<std::vector<std::string>>> DatabaseDrop::collections(std::string database) {
  using Names = std::vector<std::string>;
  std::function<Result<Names>(Store&)> job = [database](Store& store) -> Result<Names> {
    const std::string list =
        Writer().int32("listCollections", 1).boolean("nameOnly", true).finish();
    auto found = store.find(database, list);
    if (!found) return tl::unexpected(found.error());
    if (!found->refusal.empty()) {
      return fail(ErrorCode::kUnavailable, "list collections of", database,
                  bson::to_json(Document(found->refusal), 300));
    }
    Names names;
    bool has_views = false;
    for (const std::string& each : found->documents) {
      const auto name = Document(each).find("name");
      if (!name || name->type != bson::Type::kString) continue;
      const bool is_mongods = name->as_string().starts_with("system.");
      if (!is_mongods) names.emplace_back(name->as_string());
      has_views = has_views || name->as_string() == kViews;
    }
    if (has_views) names.emplace_back(kViews);
    return names;
  };
  Result<Names> names = co_await context_.store.ask(std::move(job));
  co_return names;
}

}  // namespace outrigger
