#include "proxy/expiry/store_answer.h"

#include <utility>

#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {

using bson::Document;

Document StoreAnswer::body() const { return wire::parse_op_msg_trusted(message)->body; }

StoreAnswer read_answer(std::string message) {
  StoreAnswer out;
  out.message = std::move(message);
  const Document body = out.body();
  out.code = wire::code_of(body);
  const auto words = body.find("errmsg");
  if (words && words->type == bson::Type::kString) out.words = std::string(words->as_string());
  return out;
}

StoreAnswer read_answer_body(const std::string& body) {
  return read_answer(wire::build_op_msg(0, 0, 0, Document(body)));
}

net::Task<Result<StoreAnswer>> ask_store(Backend& backend, std::string body) {
  std::string message = wire::build_op_msg(backend.next_request_id(), 0, 0, Document(body));
  Result<std::string> reply = co_await backend.call(std::move(message));
  if (!reply || !answer_in(reply)) {
    backend.close();
    if (reply) co_return fail(ErrorCode::kCorrupt, "ask the store", "", "its answer is none");
    co_return tl::unexpected(reply.error());
  }
  co_return read_answer(std::move(*reply));
}

}  // namespace outrigger
