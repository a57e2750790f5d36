#include "proxy/expiry/own_login.h"

#include <utility>

#include "proxy/expiry/scram.h"
#include "proxy/expiry/store_answer.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Type;
using bson::Writer;

constexpr const char* kLogin = "log in";
constexpr uint8_t kBinary = 0;

std::string payload_of(const StoreAnswer& said) {
  const auto value = said.body().find("payload");
  return value ? std::string(value->binary()) : std::string();
}

// One step; an error also where the store says no.
net::Task<Result<StoreAnswer>> take_step(Backend& backend, std::string body) {
  Result<StoreAnswer> said = co_await ask_store(backend, std::move(body));
  if (said && !said->is_ok()) co_return fail(ErrorCode::kRefused, kLogin, "", said->words);
  co_return said;
}

// As drivers choose: the better hash, if the user has it.
net::Task<Result<std::string>> choose_mechanism(Backend& backend, const StoreLogin& login) {
  Writer out;
  out.int32("hello", 1).string("saslSupportedMechs", login.source + "." + login.user);
  std::string body = out.string("$db", "admin").finish();
  const Result<StoreAnswer> reply = co_await take_step(backend, std::move(body));
  if (!reply) co_return tl::unexpected(reply.error());
  std::string chosen = "SCRAM-SHA-1";
  const auto offered = reply->body().find("saslSupportedMechs");
  if (!offered || offered->type != Type::kArray) co_return chosen;
  for (const bson::Element& each : offered->as_document()) {
    const bool is_better =
        each.value.type == Type::kString && each.value.as_string() == "SCRAM-SHA-256";
    if (is_better) chosen = "SCRAM-SHA-256";
  }
  co_return chosen;
}

std::string start_body(const StoreLogin& login, const std::string& mechanism,
                       const std::string& payload) {
  Writer out;
  out.int32("saslStart", 1).string("mechanism", mechanism);
  out.binary("payload", kBinary, payload);
  out.open_document("options").boolean("skipEmptyExchange", true).close();
  return out.string("$db", login.source).finish();
}

std::string continue_body(const StoreLogin& login, const StoreAnswer& before,
                          const std::string& payload) {
  Writer out;
  out.int32("saslContinue", 1);
  const auto conversation = before.body().find("conversationId");
  if (conversation) out.value("conversationId", *conversation);
  return out.binary("payload", kBinary, payload).string("$db", login.source).finish();
}

net::Task<Status> log_in_by_scram(Backend& backend, const StoreLogin& login,
                                  const std::string& mechanism, Random& random) {
  const ScramHash hash = mechanism == "SCRAM-SHA-1" ? ScramHash::kSha1 : ScramHash::kSha256;
  std::string nonce = std::to_string(random.number()) + std::to_string(random.number());
  Scram scram(hash, login.user, login.password, std::move(nonce));
  std::string body = start_body(login, mechanism, scram.first());
  Result<StoreAnswer> reply = co_await take_step(backend, std::move(body));
  if (!reply) co_return tl::unexpected(reply.error());
  const Result<std::string> proof = scram.proof(payload_of(*reply));
  if (!proof) co_return tl::unexpected(proof.error());
  body = continue_body(login, *reply, *proof);
  reply = co_await take_step(backend, std::move(body));
  if (!reply) co_return tl::unexpected(reply.error());
  const Status known = scram.check(payload_of(*reply));
  const auto is_done = reply->body().find("done");
  if (!known || (is_done && is_done->truthy())) co_return known;
  body = continue_body(login, *reply, "");
  reply = co_await take_step(backend, std::move(body));
  if (!reply) co_return tl::unexpected(reply.error());
  co_return Status();
}

}  // namespace

net::Task<Status> log_in(Backend& backend, const StoreLogin& login, Random& random) {
  std::string mechanism = login.mechanism;
  if (mechanism.empty()) {
    Result<std::string> chosen = co_await choose_mechanism(backend, login);
    if (!chosen) co_return tl::unexpected(chosen.error());
    mechanism = std::move(*chosen);
  }
  if (mechanism != "SCRAM-SHA-1" && mechanism != "SCRAM-SHA-256") {
    co_return fail(ErrorCode::kUnsupported, kLogin, mechanism, "this way is not built",
                   "name a user with a password in store.uri");
  }
  const Status done = co_await log_in_by_scram(backend, login, mechanism, random);
  co_return done;
}

}  // namespace outrigger
