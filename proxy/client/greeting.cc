#include "proxy/client/greeting.h"

#include <utility>

#include "proxy/mongo/hello.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;

// Drivers ask anew every half second as long as they miss a primary.
constexpr int64_t kHelloHeldMs = 1'000;

}  // namespace

net::Task<bool> Greeting::greet(Backend& backend, const wire::OpMsg& hello) {
  const wire::MsgHeader header = hello.header;
  const std::string command = mask_hello_request(hello.body);
  std::string request = wire::build_op_msg(header.request_id, 0, 0, Document(command));
  Result<std::string> reply = co_await backend.call(std::move(request));
  if (!reply) co_return false;
  const auto answer = wire::parse_op_msg_trusted(*reply);
  if (!answer) co_return false;
  const std::string body = co_await shown(backend, hello.body, answer->body);
  const std::string out =
      wire::build_op_msg(answer->header.request_id, header.request_id, 0, Document(body));
  Status sent = co_await replies_.send(out);
  co_return sent.has_value();
}

net::Task<std::string> Greeting::shown(Backend& backend, Document hello, Document reply) {
  if (logs_in_with_hello(reply)) let_in_();
  std::string masked = mask_hello_reply(reply, names_);
  const bool served = co_await is_served(backend, reply);
  if (!served) masked = not_primary_yet(Document(masked));
  co_return replies_.agreed(hello, Document(masked));
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
