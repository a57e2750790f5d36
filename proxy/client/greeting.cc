#include "proxy/client/greeting.h"

#include <utility>

#include "proxy/mongo/hello.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;

// Drivers ask anew every half second as long as they miss a primary.
constexpr int64_t kHelloHeldMs = 1'000;
constexpr int64_t kHeldBackPauseMs = 100;

}  // namespace

std::string Greeting::masked(const Backend& backend, const Document& hello) const {
  const std::string out = mask_hello_request(hello, !is_held_back_);
  return backend.with_offer(Document(out));
}

net::Task<Result<std::string>> Greeting::ask(Backend& backend, std::string request, bool waits) {
  is_waiting_ = waits;
  // Where the gate says no at once, the answer would come at once, and be asked for again.
  net::Timer pause(loop_);
  if (waits && is_held_back_) co_await pause.sleep_ms(kHeldBackPauseMs);
  Result<std::string> reply;
  if (waits && is_ended_) {
    reply = fail(ErrorCode::kClosed, "wait for news", "hello", "the connection ends");
  } else {
    reply = co_await backend.call(std::move(request));
  }
  is_waiting_ = false;
  if (waits && reply) hooks_.waited();
  co_return reply;
}

// As mongod does it, each answer of a stream is one to the answer before it.
net::Task<bool> Greeting::greet(Backend& backend, const wire::OpMsg& hello) {
  std::string command(hello.body.bytes());
  int32_t request_id = hello.header.request_id;
  for (;;) {
    const Document asked(command);
    const bool waits = waits_for_news(asked);
    const std::string sent_on = masked(backend, asked);
    // mongod refuses a stream of answers that do not wait.
    const uint32_t flags = waits ? 0 : hello.flags & wire::kExhaustAllowed;
    std::string request = wire::build_op_msg(request_id, 0, flags, Document(sent_on));
    Result<std::string> reply = co_await ask(backend, std::move(request), waits);
    if (!reply) co_return false;
    const auto answer = wire::parse_op_msg_trusted(*reply);
    if (!answer) co_return false;
    const std::string body = co_await shown(backend, hello.body, answer->body);
    std::optional<std::string> next;
    if (hello.exhaust_allowed() && waits) next = behind_news(asked, answer->body);
    const std::string out = wire::build_op_msg(answer->header.request_id, request_id,
                                               next ? wire::kMoreToCome : 0, Document(body));
    Status sent = co_await replies_.send(out);
    if (!sent || is_ended_) co_return false;
    if (!next) co_return true;
    request_id = answer->header.request_id;
    command = std::move(*next);
  }
}

net::Task<std::string> Greeting::shown(Backend& backend, Document hello, Document reply) {
  if (logs_in_with_hello(reply)) hooks_.let_in();
  backend.note_hello(reply);
  backend.note_agreed(reply);
  if (backend.app.empty()) backend.app = app_of(hello);
  std::string body = mask_hello_reply(reply, names_);
  const bool served = co_await is_served(backend, reply);
  is_held_back_ = !served;
  if (!served) body = not_primary_yet(Document(body));
  co_return replies_.agreed(hello, Document(body));
}

// Or not its primary: that may be shown.
net::Task<bool> Greeting::is_served(Backend& backend, Document reply) {
  std::string run = process_of(reply);
  // An error says nothing of it: then it is asked for before anything else is sent.
  if (run.empty() || !wire::is_ok(reply)) co_return true;
  // Not primary any more, or elected again: then it passes the gate anew.
  if (backend.process != run) backend.is_admitted = false;
  bool served = true;
  if (!backend.is_admitted && is_of_several(run) && !is_follower(run)) {
    std::string asked = run;
    served = co_await gate_.pass(loop_, std::move(asked), kHelloHeldMs);
    backend.is_admitted = served;
  }
  backend.process = std::move(run);
  co_return served;
}

}  // namespace outrigger
