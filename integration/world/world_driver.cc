#include "integration/world/world_driver.h"

#include <algorithm>
#include <array>

#include "config/random.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger::world {
namespace {

using bson::Document;

constexpr int64_t kDialMs = 2'000;
constexpr int64_t kAnswerMs = 20'000;
constexpr uint8_t kUuidSubtype = 4;
// So often it does not wait for the answer, whatever became of the write.
constexpr int kImpatientPercent = 2;
constexpr int64_t kPatienceMsMax = 60;

std::string fresh_session(uint64_t seed) {
  const Uuid uuid = SeededRandom(seed).uuid();
  return {uuid.begin(), uuid.end()};
}

// Errors a driver sends the write again for (the retryable writes specification).
bool asks_for_another_try(int64_t code) {
  constexpr std::array<int64_t, 11> kCodes{6,    7,     89,    91,    189,  262,
                                           9001, 10107, 11600, 11602, 13435};
  return std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
}

// Of the command, or of its first statement that failed; 0: none.
int64_t code_in(const Document& reply) {
  std::optional<bson::Value> code = reply.find("code");
  const auto errors = reply.find("writeErrors");
  const auto first = errors ? errors->as_document().first() : std::nullopt;
  if (first) code = first->value.as_document().find("code");
  return code ? code->to_int64().value_or(0) : 0;
}

bool is_ok(const Document& reply) {
  const auto ok = reply.find("ok");
  return ok && ok->truthy();
}

}  // namespace

WorldDriver::WorldDriver(WorldParts& parts, net::Network& network, std::string address,
                         bool retries)
    : parts_(parts),
      network_(network),
      address_(std::move(address)),
      retries_(retries),
      lsid_(fresh_session(parts.random())) {}

void WorldDriver::close() {
  if (stream_) stream_->close();
}

net::Task<WorldDriver::Answer> WorldDriver::write(const std::string& command) {
  bson::Writer body;
  body.append_all(Document(command)).open_document("lsid").binary("id", kUuidSubtype, lsid_);
  body.close().string("$db", "shop");
  if (retries_) body.int64("txnNumber", ++txn_number_);
  const std::string bytes = body.finish();
  Answer first = co_await attempt(bytes);
  if (first.outcome != Outcome::kUnknown || !retries_) co_return first;
  Answer second = co_await attempt(bytes);
  // Not this time; nobody knows of the first.
  if (second.outcome == Outcome::kRefused) second.outcome = Outcome::kUnknown;
  co_return second;
}

net::Task<WorldDriver::Answer> WorldDriver::read(const std::string& command) {
  bson::Writer body;
  body.append_all(Document(command)).string("$db", "shop");
  const std::string bytes = body.finish();
  Answer answer = co_await attempt(bytes);
  co_return answer;
}

net::Task<WorldDriver::Answer> WorldDriver::attempt(const std::string& body) {
  Result<std::string> reply = co_await call(body);
  if (!reply) {
    stream_.reset();
    framer_ = wire::Framer();
    co_return Answer{};
  }
  Answer answer{Outcome::kUnknown, std::move(*reply), 0};
  const Document said(answer.reply);
  answer.code = code_in(said);
  if (!is_ok(said)) {
    answer.outcome = asks_for_another_try(answer.code) ? Outcome::kUnknown : Outcome::kRefused;
  } else {
    answer.outcome = said.has("writeErrors") ? Outcome::kRefused : Outcome::kDone;
    // It was written, but whether as safely as asked is not said.
    if (said.has("writeConcernError")) answer.outcome = Outcome::kUnknown;
  }
  co_return answer;
}

net::Task<Result<std::string>> WorldDriver::call(const std::string& body) {
  if (!stream_) {
    Result<std::unique_ptr<net::Stream>> dialled = co_await network_.connect(address_, kDialMs);
    if (!dialled) co_return tl::unexpected(dialled.error());
    stream_ = std::move(*dialled);
  }
  const std::string message = wire::build_op_msg(++request_id_, 0, 0, Document(body));
  net::Timer timer(parts_.loop);
  timer.start(kAnswerMs, [this] { close(); });
  Result<std::string> reply = co_await exchange(message);
  timer.cancel();
  co_return reply;
}

net::Task<Result<std::string>> WorldDriver::exchange(const std::string& message) {
  const Status sent = co_await stream_->write(message);
  if (!sent) co_return tl::unexpected(sent.error());
  if (parts_.chance(kImpatientPercent)) {
    co_await parts_.sleep_ms(parts_.draw(0, kPatienceMsMax));
    close();
    co_return fail(ErrorCode::kTimeout, "read answer", address_, "it takes too long");
  }
  for (;;) {
    const Result<std::string_view> bytes = co_await stream_->read_some();
    if (!bytes) co_return tl::unexpected(bytes.error());
    if (bytes->empty()) co_return fail(ErrorCode::kClosed, "read answer", address_, "it ended");
    std::string_view rest = *bytes;
    const wire::Framer::Step step = framer_.next(rest);
    if (step.kind != wire::Framer::Kind::kMessage) continue;
    const auto parsed = wire::parse_op_msg(step.message);
    if (!parsed) co_return fail(ErrorCode::kCorrupt, "read answer", address_, "no OP_MSG");
    co_return std::string(parsed->body.bytes());
  }
}

}  // namespace outrigger::world
