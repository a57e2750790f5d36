#include "proxy/outputs/output_target.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "config/limits.h"
#include "proxy/capture/reads.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/capture.h"
#include "proxy/writes/catalog_write.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;

constexpr int kCappedOutput = 17152;  // mongod's
constexpr int kQueryPlanKilled = 175;
constexpr int kOverloaded = wire::code::kIngressRequestRateLimitExceeded;
constexpr auto kBatchSize = static_cast<int32_t>(limits::kOutputBatchMax);

}  // namespace

void append_reader(Writer& out, const wire::OpMsg& parsed) {
  for (const char* name : {"lsid", "apiVersion", "apiStrict", "apiDeprecationErrors"}) {
    const auto value = parsed.body.find(name);
    if (value) out.value(name, *value);
  }
}

net::Task<OutputFailed> OutputTarget::refusal() {
  const std::string ns = stage_.ns();
  if (!context_.policy.replicates(ns)) {
    context_.metrics.refused_unsupported.Increment();
    co_return Answer::body(wire::error_body(
        wire::code::kCommandNotSupported,
        fmt::format("an output into {} is not replicated by Outrigger yet: {}", ns,
                    stage_.database == "outrigger"
                        ? "that database is the sidecar's own"
                        : "collections of the system mean another thing at every site")));
  }
  if (stage_.is_time_series) {
    context_.metrics.refused_unsupported.Increment();
    co_return Answer::body(
        wire::error_body(wire::code::kCommandNotSupported,
                         "$out into a time-series collection is not replicated by Outrigger yet"));
  }
  Result<CollectionInfo> info = co_await context_.facts.learn(ns);
  if (!info) co_return Answer::body(wire::overloaded_body(info.error().message()));
  uuid_ = info->uuid;
  is_new_ = !info->exists();
  if (info->type == CollectionInfo::Type::kView) {
    co_return fail_with(wire::code::kCommandNotSupportedOnView,
                        fmt::format("Namespace {} is a view, not a collection", ns));
  }
  if (info->capped && stage_.kind == OutputStage::Kind::kOut) {
    co_return fail_with(kCappedOutput,
                        fmt::format("namespace '{}' is capped so it can't be used for $out", ns));
  }
  co_return std::nullopt;
}

net::Task<OutputTarget::Written> OutputTarget::write(CommandKind kind,
                                                     std::span<const OutputDocument> documents) {
  const bool inserts = kind == CommandKind::kInsert;
  const std::string body = output_write_command(parsed_, stage_, inserts ? "insert" : "update");
  std::string statements;
  for (const OutputDocument& each : documents) {
    statements += inserts ? each.document : output_update(stage_, each);
  }
  std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body),
                                           {{inserts ? "documents" : "updates", statements}});
  Written written = co_await send(std::move(message), kind);
  if (!written.failed) written.documents = documents.size();
  co_return written;
}

net::Task<OutputTarget::Written> OutputTarget::send(std::string message, CommandKind kind) {
  Written written;
  const wire::WireResult<wire::OpMsg> command = wire::parse_op_msg(message);
  if (!command) {
    written.failed = Answer::body(wire::error_body(command.error()));
    co_return written;
  }
  writing_ = true;
  Capture capture(context_, backend_);
  Answer done = co_await capture.run(message, *command, kind, false);
  if (done.kind == Answer::Kind::kPass) {  // it has become a view
    const std::string why = fmt::format("Namespace {} is a view, not a collection", stage_.ns());
    written.failed = fail_with(wire::code::kCommandNotSupportedOnView, why);
  } else if (done.kind == Answer::Kind::kBody) {
    written = read_answer(std::move(done.bytes));
  } else {
    std::optional<std::string> body;
    if (done.kind == Answer::Kind::kMessage) {
      const auto said = wire::parse_op_msg_trusted(done.bytes);
      if (said) body = std::string(said->body.bytes());
    }
    if (body) written = read_answer(std::move(*body));
    if (!body) written.failed = Answer::close();
  }
  co_return written;
}

OutputTarget::Written OutputTarget::read_answer(std::string body) {
  Written written;
  const Document reply(body);
  if (!is_ok(reply)) {
    // Without its labels: who sends all of it again does half of it twice.
    const auto words = reply.find("errmsg");
    const bool has_words = words && words->type == bson::Type::kString;
    written.failed = refuse(wire::code_of(reply), has_words ? words->as_string() : "");
    return written;
  }
  const auto n = reply.find("n");
  written.n = n ? n->to_int64().value_or(0) : 0;
  const auto concern = reply.find("writeConcernError");
  if (concern && concern->type == bson::Type::kDocument && !concern_error_) {
    concern_error_ = std::string(concern->as_document().bytes());
  }
  last_answer_ = body;
  const auto errors = reply.find("writeErrors");
  const bool is_list = errors && errors->type == bson::Type::kArray;
  const auto error = is_list ? errors->as_document().first() : std::nullopt;
  if (!error || error->value.type != bson::Type::kDocument) return written;
  const Document said = error->value.as_document();
  const auto index = said.find("index");
  const auto words = said.find("errmsg");
  const bool has_words = words && words->type == bson::Type::kString;
  written.code = wire::code_of(said);
  written.documents = static_cast<size_t>(index ? index->to_int64().value_or(0) : 0);
  const auto key = said.find("keyValue");
  // Under a collation what it says of strings are not their values.
  const bool is_plain = key && key->type == bson::Type::kDocument && !said.has("collation");
  if (is_plain) written.holder = equal_filter(key->as_document());
  written.failed = fail_with(written.code, has_words ? words->as_string() : "", said);
  return written;
}

net::Task<OutputFailed> OutputTarget::remove_all_but(const Ids& kept) {
  Writer find;
  find.string("find", stage_.collection).open_document("projection").int32("_id", 1).close();
  find.int32("batchSize", kBatchSize);
  append_reader(find, parsed_);
  std::string body = find.string("$db", stage_.database).finish();
  OutputFailed failed;
  for (int64_t cursor = -1; cursor != 0 && !failed;) {
    std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
    Result<std::string> reply = co_await backend_.call(std::move(message));
    const auto said = answer_in(reply);
    if (!said) co_return Answer::close();
    if (!is_ok(said->body)) co_return Answer::message(std::move(*reply));
    std::vector<bson::OwnedValue> others;
    cursor = show_batch(said->body, [&kept, &others](const Document& each) {
      const auto id = each.find("_id");
      if (id && !kept.contains(bson::canonical_key(*id))) others.emplace_back(*id);
    });
    failed = co_await remove(others);
    if (failed && cursor != 0) {
      std::string database = stage_.database;
      std::string collection = stage_.collection;
      co_await give_up(cursor, std::move(database), std::move(collection));
    }
    Writer more;
    more.int64("getMore", cursor).string("collection", stage_.collection);
    more.int32("batchSize", kBatchSize);
    append_reader(more, parsed_);
    body = more.string("$db", stage_.database).finish();
  }
  co_return failed;
}

net::Task<void> OutputTarget::give_up(int64_t cursor, std::string database,
                                      std::string collection) {
  Writer out;
  out.string("killCursors", collection).open_array("cursors").int64("0", cursor).close();
  append_reader(out, parsed_);
  const std::string body = out.string("$db", database).finish();
  std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  const Result<std::string> ended = co_await backend_.call(std::move(message));
  if (!ended) context_.log->debug("{}", ended.error().message());
}

net::Task<OutputFailed> OutputTarget::remove_holders(const std::string& filter, const Ids& kept,
                                                     Answer why) {
  if (filter.empty()) co_return why;
  OutputFailed failed = co_await is_the_same();
  if (failed) co_return failed;
  Writer find;
  find.string("find", stage_.collection).document("filter", Document(filter));
  find.open_document("projection").int32("_id", 1).close();
  find.int32("limit", kBatchSize).boolean("singleBatch", true);
  append_reader(find, parsed_);
  const std::string body = find.string("$db", stage_.database).finish();
  std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  Result<std::string> reply = co_await backend_.call(std::move(message));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (!is_ok(said->body)) co_return Answer::message(std::move(*reply));
  std::vector<bson::OwnedValue> holders;
  bool is_own = false;
  static_cast<void>(show_batch(said->body, [&](const Document& each) {
    const auto id = each.find("_id");
    if (!id) return;
    is_own = is_own || kept.contains(bson::canonical_key(*id));
    holders.emplace_back(*id);
  }));
  if (is_own || holders.empty()) co_return why;
  failed = co_await remove(holders);
  co_return failed;
}

net::Task<OutputFailed> OutputTarget::is_the_same() {
  Result<CollectionInfo> info = co_await context_.facts.learn(stage_.ns());
  if (!info) co_return refuse(kOverloaded, info.error().message());
  const std::string before = std::exchange(uuid_, info->uuid);
  if (before.empty() || before == uuid_) co_return std::nullopt;
  co_return fail_with(kQueryPlanKilled,
                      fmt::format("collection dropped while it was written: {}", stage_.ns()));
}

net::Task<OutputFailed> OutputTarget::remove(const std::vector<bson::OwnedValue>& ids) {
  if (ids.empty()) co_return std::nullopt;
  std::string statements;
  for (const bson::OwnedValue& id : ids) {
    Writer one;
    one.open_document("q").open_document("_id").value("$eq", id).close().close();
    one.int32("limit", 1).open_document("collation").string("locale", "simple").close();
    statements += one.finish();
  }
  const std::string body = output_write_command(parsed_, stage_, "delete");
  std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body),
                                           {{"deletes", statements}});
  Written written = co_await send(std::move(message), CommandKind::kDelete);
  co_return std::move(written.failed);
}

net::Task<OutputFailed> OutputTarget::make() {
  std::string ns = stage_.ns();
  Result<CollectionInfo> info = co_await context_.facts.learn(ns);
  if (!info) co_return refuse(kOverloaded, info.error().message());
  if (info->exists()) co_return std::nullopt;
  Writer create;
  create.string("create", stage_.collection);
  const auto concern = parsed_.body.find("writeConcern");
  if (concern) create.value("writeConcern", *concern);
  append_reader(create, parsed_);
  const std::string body = create.string("$db", stage_.database).finish();
  const std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  const auto command = wire::parse_op_msg_trusted(message);
  CatalogWrite write(context_, backend_, writing_);
  Answer done = co_await write.run(message, *command, std::move(ns));
  if (done.kind != Answer::Kind::kMessage) co_return done;
  const auto said = wire::parse_op_msg_trusted(done.bytes);
  if (!said) co_return Answer::close();
  const bool is_there = wire::code_of(said->body) == wire::code::kNamespaceExists;
  if (!is_ok(said->body) && !is_there) co_return done;
  co_return std::nullopt;
}

Answer OutputTarget::refuse(int code, std::string_view words) const {
  const std::string body = wire::error_body(code, words);
  return Answer::body(with_times(body, Document(last_answer_)));
}

Answer OutputTarget::fail_with(int code, std::string_view words, const Document& error) const {
  Writer out;
  out.real("ok", 0.0).string("errmsg", output_error_text(stage_, code, words)).int32("code", code);
  out.string("codeName", wire::code_name(code));
  for (const bson::Element& each : error) {
    const bool is_said = each.name == "index" || each.name == "code" || each.name == "errmsg";
    if (!is_said) out.element(each);
  }
  const std::string body = out.finish();
  return Answer::body(with_times(body, Document(last_answer_)));
}

}  // namespace outrigger
