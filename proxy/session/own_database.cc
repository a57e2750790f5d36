#include "proxy/session/own_database.h"

#include <fmt/format.h>

#include <utility>

#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;

// What is gathered of a collection, before it is sorted and cut: it is sent in one command.
constexpr size_t kGatheredBytesMax = 8 * 1024 * 1024;

bool is_done(const Document& reply) {
  const auto ok = reply.find("ok");
  return ok && ok->type == bson::Type::kDouble && ok->as_double() == 1;
}

std::string too_much(const std::string& collection) {
  return wire::error_body(
      wire::code::kExceededMemoryLimit,
      fmt::format("more of {}.{} matches than one answer holds: ask with a narrower filter, or "
                  "with a limit and no sort",
                  kOwnDatabase, collection));
}

}  // namespace

bool OwnDatabase::answers(const wire::OpMsg& parsed) {
  if (parsed.database() != kOwnDatabase || parsed.more_to_come()) return false;
  const std::string_view name = parsed.command_name();
  return name == "find" || name == "count" || name == "distinct" || name == "aggregate" ||
         name == "listCollections";
}

net::Task<Answer> OwnDatabase::run(std::string_view message, const wire::OpMsg& parsed) {
  std::string forwarded(message);
  Result<std::string> reply = co_await backend_.call(std::move(forwarded));
  if (!reply) co_return Answer::close();
  const auto said = wire::parse_op_msg_trusted(*reply);
  std::optional<OwnQuestion> question = own_question(parsed);
  if (!said || !is_done(said->body) || !question) co_return Answer::message(std::move(*reply));
  OwnQuestion own = std::move(*question);
  Answer answer = co_await ask(parsed, std::move(own));
  // Of a collection that is none of ours, mongod's own answer stands.
  if (answer.kind == Answer::Kind::kPass) answer = Answer::message(std::move(*reply));
  co_return answer;
}

net::Task<Answer> OwnDatabase::ask(const wire::OpMsg& parsed, OwnQuestion question) {
  std::vector<std::string> gathered;
  std::vector<std::string> stages = question.matches;
  size_t gathered_bytes = 0;
  LedgerPlace from;
  for (bool is_first = true;; is_first = false) {
    std::function<Result<OwnPage>(Store&)> job = [this, &question, from](Store&) {
      return context_.own_page(question.collection, from);
    };
    Result<OwnPage> page = co_await context_.store.ask(std::move(job));
    if (!page && page.error().code == ErrorCode::kNotFound) co_return Answer::pass();
    if (!page) co_return Answer::body(wire::overloaded_body(page.error().message()));
    if (is_first && !page->next) {
      gathered = std::move(page->documents);
      break;
    }
    std::vector<std::string> documents = std::move(page->documents);
    std::vector<std::string> matches = question.matches;
    Result<std::string> reply = co_await put(parsed, std::move(documents), std::move(matches));
    if (!reply) co_return Answer::close();
    const auto said = wire::parse_op_msg_trusted(*reply);
    if (!said || !is_done(said->body)) co_return Answer::message(std::move(*reply));
    for (const Document& each : first_batch(said->body)) {
      gathered.emplace_back(each.bytes());
      gathered_bytes += each.bytes().size();
    }
    if (gathered_bytes > kGatheredBytesMax || has_more(said->body)) {
      co_return Answer::body(too_much(question.collection));
    }
    stages.clear();
    if (!page->next || (question.enough && gathered.size() >= *question.enough)) break;
    from = *page->next;
  }
  stages.insert(stages.end(), question.rest.begin(), question.rest.end());
  Result<std::string> reply = co_await put(parsed, std::move(gathered), std::move(stages));
  if (!reply) co_return Answer::close();
  const auto said = wire::parse_op_msg_trusted(*reply);
  if (!said || !is_done(said->body)) co_return Answer::message(std::move(*reply));
  if (has_more(said->body)) co_return Answer::body(too_much(question.collection));
  co_return Answer::body(own_answer(question, said->body));
}

net::Task<Result<std::string>> OwnDatabase::put(const wire::OpMsg& parsed,
                                                std::vector<std::string> documents,
                                                std::vector<std::string> stages) {
  const std::string body = own_aggregation(parsed, documents, stages);
  std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  Result<std::string> reply = co_await backend_.call(std::move(message));
  co_return reply;
}

}  // namespace outrigger
