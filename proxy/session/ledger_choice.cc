#include "proxy/session/ledger_choice.h"

#include <fmt/format.h>

#include <utility>

#include "proxy/capture/reads.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/session/own_question.h"
#include "proxy/writes/capture.h"
#include "replication/bson/fields.h"

namespace outrigger {
namespace {

using bson::Document;

constexpr int kPlacingsMax = 10;  // of an element in an array that changes
constexpr int64_t kLockWaitUs = 1'000'000;

Answer refused(int code, const std::string& why) {
  return Answer::body(wire::error_body(code, why));
}

std::string asked_name(const wire::OpMsg& parsed) {
  const auto first = parsed.body.first();
  if (!first || first->value.type != bson::Type::kString) return "";
  return std::string(first->value.as_string());
}

// The planned command with what the app says of how durable it is to be.
std::string command_body(const ChoicePlan& plan, const wire::OpMsg& parsed) {
  bson::Writer out;
  out.append_all(Document(plan.command));
  for (const char* name : {"writeConcern", "maxTimeMS", "comment"}) {
    const auto value = parsed.body.find(name);
    if (value) out.value(name, *value);
  }
  return out.finish();
}

// An error of the command as a whole stays as it is, with what it tells drivers to do.
Answer failed(const ChoiceReply& said, const LedgerEntry& entry, std::string reply) {
  std::string way_out;
  if (said.code == wire::code::kPathNotViable) {
    way_out = "; what stands above it is no document: set or unset that first";
  } else if (said.code == wire::code::kDuplicateKey && entry.path.empty()) {
    way_out = "; to have the whole document back, delete or change what is in its way first";
  }
  if (way_out.empty() && !is_ok(Document(reply))) return Answer::body(std::move(reply));
  return refused(said.code, said.words + way_out);
}

}  // namespace

net::Task<Answer> LedgerChoice::run(const wire::OpMsg& parsed, ChoiceVerb verb, bool is_strangers) {
  std::optional<Answer> may_not = co_await ask_to_read();
  if (may_not) co_return std::move(*may_not);
  const std::string name = asked_name(parsed);
  std::function<Result<LedgerEntry>(Store&)> job = [this, &name](Store&) {
    return context_.replica.conflict(name);
  };
  Result<LedgerEntry> entry = co_await context_.store.ask(std::move(job));
  if (!entry) {
    const bool is_named =
        entry.error().code == ErrorCode::kNotFound || entry.error().code == ErrorCode::kRefused;
    if (!is_named) co_return Answer::body(wire::overloaded_body(entry.error().message()));
    co_return refused(wire::code::kBadValue, entry.error().message());
  }
  Answer answered = co_await write(parsed, verb, *entry, is_strangers);
  co_return answered;
}

net::Task<std::optional<Answer>> LedgerChoice::ask_to_read() {
  bson::Writer out;
  out.string("find", "conflicts").int32("limit", 1).boolean("singleBatch", true);
  const std::string body = out.string("$db", kOwnDatabase).finish();
  std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  Result<std::string> reply = co_await backend_.call(std::move(message));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (!is_ok(said->body)) co_return Answer::message(std::move(*reply));
  co_return std::nullopt;
}

net::Task<Answer> LedgerChoice::write(const wire::OpMsg& parsed, ChoiceVerb verb,
                                      const LedgerEntry& entry, bool is_strangers) {
  const ChoicePlan plan = plan_choice(verb, entry);
  if (!plan.refusal.empty()) co_return refused(wire::code::kIllegalOperation, plan.refusal);
  if (verb == ChoiceVerb::kDismiss) {
    Answer dismissed = co_await dismiss(plan, entry);
    co_return dismissed;
  }
  if (needs_place(verb, entry)) {
    Answer written = co_await write_in_element(parsed, verb, entry, is_strangers);
    co_return written;
  }
  std::optional<Answer> done = co_await attempt(parsed, verb, entry, nullptr, is_strangers);
  if (done) co_return std::move(*done);
  Answer looked = co_await look(verb, entry);
  co_return looked;
}

net::Task<Answer> LedgerChoice::write_in_element(const wire::OpMsg& parsed, ChoiceVerb verb,
                                                 const LedgerEntry& entry, bool is_strangers) {
  const Path path = path_of_array(entry.path);
  ElementNow now;
  for (int i = 0; i < kPlacingsMax; ++i) {
    Placed placed = co_await find_place(entry, path);
    if (placed.looked.refusal) co_return std::move(*placed.looked.refusal);
    const std::optional<Document> found = placed.looked.found();
    if (!found) {
      Answer told = co_await tell(verb, entry, placed.looked, nullptr);
      co_return told;
    }
    if (!placed.now) co_return Answer::body(wire::overloaded_body(placed.now.error().message()));
    now = *placed.now;
    if (now.kind == ElementNow::Kind::kMoving) continue;
    const std::string why = why_no_place(entry.path, now.kind);
    if (!why.empty()) co_return refused(wire::code::kIllegalOperation, why);
    const ElementPlace place{now.position, bson::OwnedValue(*bson::PathFinder(*found).find(path))};
    const ChoicePlan plan = plan_choice(verb, entry, &place);
    if (plan.is_moot) {
      Answer told = co_await tell(verb, entry, placed.looked, &place);
      co_return told;
    }
    std::optional<Answer> done = co_await attempt(parsed, verb, entry, &place, is_strangers);
    if (done) co_return std::move(*done);
  }
  const std::string why = why_no_place(entry.path, ElementNow::Kind::kMoving);
  co_return refused(wire::code::kIllegalOperation, why);
}

net::Task<LedgerChoice::Placed> LedgerChoice::find_place(const LedgerEntry& entry,
                                                         const Path& array) {
  LockRequest request;
  request.add(namespace_lock_key(entry.ns), LockMode::kShared);
  request.add(document_lock_key(entry.ns, entry.id.view()), LockMode::kShared);
  // Who has it for longer may write between the two looks: that is seen.
  const int64_t until_us = context_.clock.monotonic_us() + kLockWaitUs;
  HeldLocks locks = co_await wait_for_locks(context_, request, until_us);
  locks.leave(Left::kNothing);
  Placed placed;
  placed.looked = co_await fetch(entry);
  const std::optional<Document> found = placed.looked.found();
  if (!found) co_return placed;
  const PathRuling ruling = context_.policy.merge_rules(entry.ns).at(array);
  const std::string_view by_rule = element_key_of(ruling);
  const std::string_view key = by_rule.empty() ? "_id" : by_rule;
  std::function<Result<ElementNow>(Store&)> job = [this, &entry, key, &found](Store&) {
    return context_.replica.element_now(entry, key, *found);
  };
  placed.now = co_await context_.store.ask(std::move(job));
  co_return placed;
}

net::Task<std::optional<Answer>> LedgerChoice::attempt(const wire::OpMsg& parsed, ChoiceVerb verb,
                                                       const LedgerEntry& entry,
                                                       const ElementPlace* place,
                                                       bool is_strangers) {
  const ChoicePlan plan = plan_choice(verb, entry, place);
  if (!plan.refusal.empty()) co_return refused(wire::code::kIllegalOperation, plan.refusal);
  const std::string body = command_body(plan, parsed);
  const std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  const wire::WireResult<wire::OpMsg> command = wire::parse_op_msg(message);
  if (!command) co_return Answer::body(wire::error_body(command.error()));
  writing_ = true;
  Capture capture(context_, backend_);
  capture.mark_choice();
  Answer done = co_await capture.run(message, *command, plan.kind, is_strangers);
  writing_ = false;
  if (done.kind == Answer::Kind::kPass) {  // mongod refuses it, in its own words
    std::string forwarded = message;
    Result<std::string> reply = co_await backend_.call(std::move(forwarded));
    if (!reply) co_return Answer::close();
    done = Answer::message(std::move(*reply));
  }
  if (done.kind == Answer::Kind::kClose) co_return done;
  std::string reply = std::move(done.bytes);
  if (done.kind == Answer::Kind::kMessage) {
    const auto said = wire::parse_op_msg_trusted(reply);
    if (!said) co_return Answer::close();
    std::string of_message(said->body.bytes());
    reply = std::move(of_message);
  }
  ChoiceReply said = read_choice(plan, entry, Document(reply), place);
  const bool is_there = said.code == wire::code::kDuplicateKey && plan.kind == CommandKind::kInsert;
  if (is_there) {  // chosen before, perhaps
    Answer looked = co_await look(verb, entry);
    if (is_ok(Document(looked.bytes))) co_return looked;
  }
  if (said.code != 0) co_return failed(said, entry, std::move(reply));
  if (!said.is_written) co_return std::nullopt;
  Answer answered = co_await conclude(verb, entry, std::move(reply), true, std::move(said.instead));
  co_return answered;
}

// Nothing is written, so nothing is captured. An error that is not about rights (a view, say) is
// none of the entry's.
net::Task<Answer> LedgerChoice::dismiss(const ChoicePlan& plan, const LedgerEntry& entry) {
  std::string message =
      wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(plan.command));
  Result<std::string> reply = co_await backend_.call(std::move(message));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  const int code = wire::code_of(said->body);
  if (code == wire::code::kUnauthorized) co_return Answer::message(std::move(*reply));
  std::string as_mongod(said->body.bytes());
  std::optional<Replaced> nothing;
  Answer answered = co_await conclude(ChoiceVerb::kDismiss, entry, std::move(as_mongod), false,
                                      std::move(nothing));
  co_return answered;
}

net::Task<LedgerChoice::Looked> LedgerChoice::fetch(const LedgerEntry& entry) {
  Looked looked;
  const std::string body = look_command(entry);
  std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  Result<std::string> reply = co_await backend_.call(std::move(message));
  const auto said = answer_in(reply);
  if (!said) {
    looked.refusal = Answer::close();
  } else if (!is_ok(said->body)) {
    looked.refusal = Answer::message(std::move(*reply));
  } else {
    looked.reply = std::string(said->body.bytes());
  }
  co_return looked;
}

std::optional<Document> LedgerChoice::Looked::found() const {
  std::optional<Document> found;
  if (reply.empty()) return found;
  static_cast<void>(show_batch(Document(reply), [&](const Document& each) { found = each; }));
  return found;
}

net::Task<Answer> LedgerChoice::look(ChoiceVerb verb, const LedgerEntry& entry) {
  Looked looked = co_await fetch(entry);
  if (looked.refusal) co_return std::move(*looked.refusal);
  Answer told = co_await tell(verb, entry, looked, nullptr);
  co_return told;
}

net::Task<Answer> LedgerChoice::tell(ChoiceVerb verb, const LedgerEntry& entry,
                                     const Looked& looked, const ElementPlace* place) {
  const std::string why = why_not_written(verb, entry, looked.found(), place);
  if (!why.empty()) co_return refused(wire::code::kIllegalOperation, why);
  std::string reply = looked.reply;
  std::optional<Replaced> nothing;
  Answer answered = co_await conclude(verb, entry, std::move(reply), false, std::move(nothing));
  co_return answered;
}

net::Task<Answer> LedgerChoice::conclude(ChoiceVerb verb, const LedgerEntry& entry,
                                         std::string reply, bool wrote,
                                         std::optional<Replaced> instead) {
  const bool is_choice = verb == ChoiceVerb::kChoose;
  const LedgerMark mark =
      verb == ChoiceVerb::kRevert ? LedgerMark::kReverted : LedgerMark::kResolved;
  const std::string key = ledger_key(entry);
  const std::optional<Replaced> noted =
      is_choice ? worth_noting(entry, instead) : std::optional<Replaced>();
  std::function<Status(Store&)> job = [this, &key, mark, &noted](Store&) {
    return context_.replica.mark_conflict(key, mark, noted);
  };
  const Status marked = co_await context_.store.ask(std::move(job));
  if (!marked) {
    if (verb == ChoiceVerb::kDismiss) {  // that is all it does
      co_return Answer::body(wire::overloaded_body(marked.error().message()));
    }
    context_.log->warn("not noted in the ledger: {}", marked.error().message());
  }
  LedgerEntry now = entry;
  if (marked) now.mark = mark;
  bson::Writer out;
  out.string("name", ledger_name(key)).string("state", state_text(now));
  out.string("namespace", entry.ns).value("document", entry.id);
  out.string("path", path_text(entry.path)).int32("n", wrote ? 1 : 0);
  const auto concern = Document(reply).find("writeConcernError");
  if (concern) out.value("writeConcernError", *concern);
  out.real("ok", 1.0);
  const std::string body = out.finish();
  co_return Answer::body(with_times(body, Document(reply)));
}

}  // namespace outrigger
