#include "proxy/mongo/login_rule.h"

#include "proxy/mongo/wire/error_reply.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger {
namespace {

std::string question(int32_t request_id) {
  bson::Writer command;
  command.string("find", "system.version").int32("limit", 1).boolean("singleBatch", true);
  // Of a set, any member may be asked.
  command.open_document("$readPreference").string("mode", "secondaryPreferred").close();
  command.string("$db", "admin");
  return wire::build_op_msg(request_id, 0, 0, bson::Document(command.finish()));
}

}  // namespace

std::optional<bool> asks_login(const bson::Document& answer) {
  if (wire::is_ok(answer)) return false;
  if (wire::code_of(answer) == wire::code::kUnauthorized) return true;
  return std::nullopt;
}

net::Task<void> LoginRule::learn() {
  if (asking_ || is_closed_) co_return;
  asking_ = true;
  if (!backend_ || !backend_->is_open()) {
    Result<std::unique_ptr<Backend>> dialled = co_await dial_();
    if (dialled && !is_closed_) backend_ = std::move(*dialled);
  }
  if (backend_ && backend_->is_open() && !is_closed_) {
    std::string ask = question(backend_->next_request_id());
    const Result<std::string> reply = co_await backend_->call(std::move(ask));
    if (!reply) backend_->close();
    if (reply) {
      const auto parsed = wire::parse_op_msg(*reply);
      if (parsed) asks_login_ = outrigger::asks_login(parsed->body).value_or(asks_login_);
    }
  }
  asking_ = false;
}

void LoginRule::close() {
  is_closed_ = true;
  if (backend_) backend_->close();
}

}  // namespace outrigger
