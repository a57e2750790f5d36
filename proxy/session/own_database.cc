#include "proxy/session/own_database.h"

#include <fmt/format.h>

#include <utility>

#include "config/limits.h"
#include "proxy/capture/reads.h"
#include "proxy/capture/write_request.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/session/ledger_choice.h"

namespace outrigger {
namespace {

using bson::Document;

// Where an aggregation of no collection leaves its cursor.
constexpr const char* kOfDatabase = "$cmd.aggregate";

// One of the questions that may be answered at once, for as long as it lives.
class QuestionPlace {
 public:
  explicit QuestionPlace(std::atomic<size_t>& taken) : taken_(taken), is_held_(take()) {}
  QuestionPlace(const QuestionPlace&) = delete;
  QuestionPlace& operator=(const QuestionPlace&) = delete;
  ~QuestionPlace() {
    if (is_held_) --taken_;
  }
  [[nodiscard]] bool is_held() const { return is_held_; }

 private:
  bool take() {
    if (++taken_ <= limits::kOwnQuestionsMax) return true;
    --taken_;
    return false;
  }
  std::atomic<size_t>& taken_;
  const bool is_held_;
};

std::string too_much(const std::string& collection) {
  return wire::error_body(
      wire::code::kExceededMemoryLimit,
      fmt::format("more of {}.{} matches than one answer holds: ask with a narrower filter, or "
                  "with a limit and no sort",
                  kOwnDatabase, collection));
}

}  // namespace

bool OwnDatabase::answers(const wire::OpMsg& parsed) {
  if (choice_verb(parsed)) return true;
  const std::string_view name = parsed.command_name();
  const bool reads = name == "find" || name == "count" || name == "distinct" ||
                     name == "aggregate" || name == "listCollections";
  return reads && parsed.database() == kOwnDatabase && !parsed.more_to_come();
}

net::Task<Answer> OwnDatabase::run(std::string_view message, const wire::OpMsg& parsed,
                                   bool is_strangers) {
  const QuestionPlace place(context_.own_questions);
  if (!place.is_held()) {
    co_return Answer::body(wire::overloaded_body(
        "others are being told of the database outrigger; ask again in a moment"));
  }
  Answer answered;
  if (const auto verb = choice_verb(parsed)) {
    LedgerChoice choice(context_, backend_, writing_);
    answered = co_await choice.run(parsed, *verb, is_strangers);
  } else {
    answered = co_await answer(message, parsed);
  }
  co_return answered;
}

net::Task<Answer> OwnDatabase::answer(std::string_view message, const wire::OpMsg& parsed) {
  std::string forwarded(message);
  Result<std::string> reply = co_await backend_.call(std::move(forwarded));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (!is_ok(said->body)) co_return Answer::message(std::move(*reply));
  std::optional<OwnQuestion> question = own_question(parsed);
  if (!question) co_return Answer::message(std::move(*reply));
  OwnQuestion own = std::move(*question);
  const int64_t cursor = show_batch(said->body, [](const Document&) {});
  std::string collection = own.collection;
  co_await close_cursor(cursor, std::move(collection));
  const std::string why_not = why_not_own(parsed);
  if (!why_not.empty()) {
    co_return Answer::body(
        wire::error_body(wire::code::kCommandNotSupported,
                         fmt::format("{} is not had in the database {}", why_not, kOwnDatabase)));
  }
  Answer answered = co_await ask(parsed, std::move(own));
  // Of a collection that is none of ours, mongod's own answer stands.
  if (answered.kind == Answer::Kind::kPass) answered = Answer::message(std::move(*reply));
  co_return answered;
}

net::Task<Answer> OwnDatabase::ask(const wire::OpMsg& parsed, OwnQuestion question) {
  const auto limit = parsed.body.find("maxTimeMS");
  const int64_t limit_ms = limit && limit->type == bson::Type::kInt32 ? limit->as_int32() : 0;
  const int64_t started_us = context_.clock.monotonic_us();
  std::vector<std::string> gathered;
  std::vector<std::string> matches = question.matches;  // of what is gathered
  size_t gathered_bytes = 0;
  int64_t counted_before = 0;
  LedgerPlace from;
  for (bool is_first = true;; is_first = false) {
    std::function<Result<OwnPage>(Store&)> job = [this, &question, from](Store&) {
      return context_.own_page(question.collection, from);
    };
    Result<OwnPage> page = co_await context_.store.ask(std::move(job));
    if (!page && page.error().code == ErrorCode::kNotFound) co_return Answer::pass();
    if (!page) co_return Answer::body(wire::overloaded_body(page.error().message()));
    const bool is_only = is_first && !page->next;
    if (is_only || (question.is_sum() && !page->next)) {
      gathered = std::move(page->documents);
      break;
    }
    std::vector<std::string> documents = std::move(page->documents);
    std::vector<std::string> stages = question.matches;
    if (question.is_sum()) stages.push_back(question.rest.front());
    Result<std::string> reply = co_await put(parsed, std::move(documents), std::move(stages));
    const auto said = answer_in(reply);
    if (!said) co_return Answer::close();
    if (!is_ok(said->body)) co_return Answer::message(std::move(*reply));
    if (question.is_sum()) {
      counted_before += counted(said->body);
    } else {
      const int64_t cursor = show_batch(said->body, [&](const Document& each) {
        gathered.emplace_back(each.bytes());
        gathered_bytes += each.bytes().size();
      });
      matches.clear();
      const bool is_enough = question.enough && gathered.size() >= *question.enough;
      const bool is_too_much = gathered_bytes > limits::kOwnGatheredBytesMax && !is_enough;
      if (is_too_much || cursor != 0) {
        std::string of_database = kOfDatabase;
        co_await close_cursor(cursor, std::move(of_database));
        co_return Answer::body(too_much(question.collection));
      }
      if (!page->next || is_enough) break;
    }
    const int64_t took_us = context_.clock.monotonic_us() - started_us;
    if (limit_ms > 0 && took_us > limit_ms * 1000) co_return Answer::body(out_of_time_body());
    from = *page->next;
  }
  Answer answered = co_await conclude(parsed, std::move(question), std::move(gathered),
                                      std::move(matches), counted_before);
  co_return answered;
}

net::Task<Answer> OwnDatabase::conclude(const wire::OpMsg& parsed, OwnQuestion question,
                                        std::vector<std::string> gathered,
                                        std::vector<std::string> matches, int64_t counted_before) {
  std::vector<std::string> stages = std::move(matches);
  stages.insert(stages.end(), question.rest.begin(), question.rest.end());
  Result<std::string> reply = co_await put(parsed, std::move(gathered), std::move(stages));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (!is_ok(said->body)) co_return Answer::message(std::move(*reply));
  const int64_t cursor = show_batch(said->body, [](const Document&) {});
  if (cursor != 0) {
    std::string of_database = kOfDatabase;
    co_await close_cursor(cursor, std::move(of_database));
    co_return Answer::body(too_much(question.collection));
  }
  co_return Answer::body(own_answer(question, said->body, counted_before));
}

net::Task<void> OwnDatabase::close_cursor(int64_t cursor, std::string collection) {
  if (cursor == 0) co_return;
  bson::Writer out;
  out.string("killCursors", collection).open_array("cursors").int64("0", cursor).close();
  const std::string body = out.string("$db", kOwnDatabase).finish();
  std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  [[maybe_unused]] const Result<std::string> closed = co_await backend_.call(std::move(message));
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
