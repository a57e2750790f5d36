// Statements that do not name their document: found with the app's own filter, locked, checked
// again under the lock, and run narrowed to what was found.
#include <algorithm>
#include <random>

#include "proxy/capture/capture.h"
#include "proxy/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Value;

constexpr int kAttemptsMax = 10;

std::string find_ids_body(const WriteCommand& command, const Statement& statement, size_t limit,
                          const std::vector<bson::OwnedValue>* among) {
  bson::Writer out;
  out.string("find", command.collection);
  if (among == nullptr) {
    out.document("filter", statement.filter);
  } else {
    out.open_document("filter").open_array("$and");
    out.open_document("0").open_document("_id").open_array("$in");
    for (size_t i = 0; i < among->size(); ++i) out.value(bson::index_name(i), (*among)[i]);
    out.close().close().close();
    out.document("1", statement.filter).close().close();
  }
  out.open_document("projection").int32("_id", 1).close();
  if (statement.sort && among == nullptr) out.value("sort", *statement.sort);
  if (statement.hint && among == nullptr) out.value("hint", *statement.hint);
  if (statement.has_collation) out.document("collation", statement.collation);
  if (command.let) out.value("let", *command.let);
  if (limit > 0) out.int64("limit", static_cast<int64_t>(limit)).boolean("singleBatch", true);
  out.string("$db", command.database);
  return out.finish();
}

}  // namespace

std::string Capture::fresh_object_id() {
  // 4 bytes of seconds, 5 random bytes of this thread, 3 bytes counting: as drivers make them.
  struct Maker {
    std::array<char, 5> random{};
    uint32_t counter = 0;
    Maker() {
      std::random_device source;
      for (char& byte : random) byte = static_cast<char>(source());
      counter = source();
    }
  };
  thread_local Maker maker;
  const auto seconds = static_cast<uint32_t>(context_.clock.wall_ms() / 1000);
  const uint32_t count = ++maker.counter;
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(seconds >> shift));
  out.append(maker.random.data(), maker.random.size());
  for (int shift = 16; shift >= 0; shift -= 8) out.push_back(static_cast<char>(count >> shift));
  return out;
}

RunItem Capture::narrowed_item(const Statement& statement, bson::OwnedValue id) {
  RunItem item;
  item.statement = &statement;
  item.id = std::move(id);
  item.key = bson::canonical_key(item.id.view());
  item.filter = narrow_filter(statement.filter, item.id.view());
  const bool collated = item.id.type == bson::Type::kString || item.id.view().is_container();
  if (collated && !compares_simply(statement)) {
    // Under the app's collation this _id may equal others; the filter was checked already.
    bson::Writer out;
    out.open_document("_id").value("$eq", item.id).close();
    item.filter = out.finish();
    item.simple_collation = true;
  }
  item.narrows_further = true;
  item.upsert = false;
  item.upsert_changed = statement.upsert;
  if (!statement.remove && statement.update) {
    item.shape = read_update_shape(*statement.update, statement.array_filters.has_value());
    item.needs_before = item.shape->form == UpdateShape::Form::kDiff;
    item.needs_after = item.shape->form != UpdateShape::Form::kLiteral ||
                       command_->kind == CommandKind::kFindAndModify;
  }
  return item;
}

net::Task<Result<std::vector<bson::OwnedValue>>> Capture::find_ids(
    const Statement& statement, size_t limit, const std::vector<bson::OwnedValue>* among) {
  std::vector<bson::OwnedValue> out;
  std::string body = find_ids_body(*command_, statement, limit, among);
  for (;;) {
    std::string request = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
    Result<std::string> reply = co_await backend_.call(std::move(request));
    if (!reply) co_return tl::unexpected(reply.error());
    const auto parsed = wire::parse_op_msg_trusted(*reply);
    if (!parsed) {
      co_return fail(ErrorCode::kCorrupt, "find documents", command_->ns, parsed.error().message);
    }
    const auto ok = parsed->body.find("ok");
    if (!ok || !ok->truthy()) {
      const auto code = parsed->body.find("code");
      const auto text = parsed->body.find("errmsg");
      find_error_code_ = code ? static_cast<int>(code->to_int64().value_or(0)) : 0;
      co_return fail(ErrorCode::kRefused, "", "",
                     text && text->type == bson::Type::kString ? std::string(text->as_string())
                                                               : "the store refused the filter");
    }
    const auto cursor = parsed->body.find("cursor");
    int64_t next = 0;
    if (cursor && cursor->type == bson::Type::kDocument) {
      for (const bson::Element& field : cursor->as_document()) {
        if (field.name == "id") next = field.value.to_int64().value_or(0);
        if (field.value.type != bson::Type::kArray) continue;
        for (const bson::Element& item : field.value.as_document()) {
          const auto id = item.value.as_document().find("_id");
          if (id) out.emplace_back(*id);
        }
      }
    }
    if (next == 0) co_return out;
    bson::Writer more;
    more.int64("getMore", next).string("collection", command_->collection);
    more.string("$db", command_->database);
    body = more.finish();
  }
}

net::Task<Capture::End> Capture::execute_resolved(const Statement& statement, ReplyBuilder& reply) {
  find_error_.reset();
  const bool replaces_many =
      statement.multi && statement.update &&
      read_update_shape(*statement.update, false).form == UpdateShape::Form::kReplacement;
  End end = End::kDone;
  if (replaces_many || (statement.multi && command_->session.txn_number)) {
    end = co_await probe(statement, reply);  // mongod refuses both
  } else if (statement.multi) {
    end = co_await execute_many(statement, reply);
  } else {
    end = co_await execute_one(statement, reply);
  }
  co_return end;
}

net::Task<Capture::End> Capture::execute_one(const Statement& statement, ReplyBuilder& reply) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    Result<std::vector<bson::OwnedValue>> ids = co_await find_ids(statement, 1, nullptr);
    if (!ids && ids.error().code != ErrorCode::kRefused) co_return End::kBroken;
    if (!ids) find_error_ = ids.error();
    End end = End::kDone;
    if (!ids || (ids->empty() && !statement.upsert)) {
      end = co_await probe(statement, reply);
      co_return end;
    }
    ReplyBuilder tried(*command_);
    if (ids->empty()) {
      end = co_await insert_by_upsert(statement, tried);
    } else {
      Run run = new_run();
      run.items.push_back(narrowed_item(statement, std::move(ids->front())));
      end = co_await execute(run, tried);
    }
    const bool again = end == End::kMatchedNothing || end == End::kTryAgain;
    if (again && attempt + 1 < kAttemptsMax) {
      reply_is_whole_ = false;
      continue;
    }
    reply.absorb(std::move(tried));
    co_return end;
  }
  co_return End::kDone;
}

net::Task<Capture::End> Capture::insert_by_upsert(const Statement& statement, ReplyBuilder& reply) {
  const UpdateShape shape =
      read_update_shape(*statement.update, statement.array_filters.has_value());
  bson::OwnedValue id(bson::Type::kObjectId, fresh_object_id());
  if (shape.given_id) id = bson::OwnedValue(*shape.given_id);
  RunItem item = narrowed_item(statement, std::move(id));
  item.filter = narrow_filter(statement.filter, item.id.view());
  item.simple_collation = false;
  item.upsert = true;
  item.upsert_changed = false;
  item.needs_after = true;
  item.needs_before = false;
  Run run = new_run();
  run.items.push_back(std::move(item));
  ReplyBuilder tried(*command_);
  End end = co_await execute(run, tried);
  // Another writer was first, and the filter will find its document; or the statement says or asks
  // something of _id, which mongod gives a new document last.
  if (end == End::kDone && (tried.failed() || tried.has_errors())) {
    end = co_await upsert_as_it_is(statement, reply);
    co_return end;
  }
  reply.absorb(std::move(tried));
  co_return end;
}

// The app's own upsert, with the collection to itself: what it inserts is known from the answer.
net::Task<Capture::End> Capture::upsert_as_it_is(const Statement& statement, ReplyBuilder& reply) {
  LockRequest locks;
  locks.add(namespace_lock_key(command_->ns), LockMode::kExclusive);
  co_await wait_for_locks(context_, locks);
  End end = End::kTryAgain;
  Result<std::vector<bson::OwnedValue>> ids = co_await find_ids(statement, 1, nullptr);
  if (!ids) end = End::kBroken;
  if (ids && ids->empty()) {
    RunItem item = narrowed_item(statement, {bson::Type::kObjectId, fresh_object_id()});
    item.filter.clear();
    item.simple_collation = false;
    item.upsert = true;
    item.upsert_changed = false;
    item.needs_after = item.needs_before = false;
    Run run = new_run();
    run.items.push_back(std::move(item));
    end = co_await execute_locked(run, reply);
  }
  context_.locks.release(locks);
  co_return end;
}

// The store refused the statement's filter, as `explained` says or else its find did.
void Capture::add_refusal(const Statement& statement, const RunReply& said,
                          const std::optional<std::string>& explained, ReplyBuilder& reply) {
  if (explained && command_->kind == CommandKind::kFindAndModify) {
    reply.fail(*explained);
    return;
  }
  int code = find_error_code_;
  std::string text = find_error_->reason;
  if (explained) {
    const auto its_code = Document(*explained).find("code");
    const auto its_text = Document(*explained).find("errmsg");
    if (its_code) code = static_cast<int>(its_code->to_int64().value_or(0));
    if (its_text && its_text->type == bson::Type::kString) text = its_text->as_string();
  }
  reply.add_tail(said);
  reply.add_error(statement.index, code, text);
}

// Lets the store judge a statement that can match nothing: its own error, or its own "n: 0".
net::Task<Capture::End> Capture::probe(const Statement& statement, ReplyBuilder& reply) {
  Run run = new_run();
  bson::OwnedValue nothing(bson::Type::kObjectId, fresh_object_id());
  RunItem item = narrowed_item(statement, std::move(nothing));
  item.simple_collation = false;
  item.filter = narrow_filter(statement.filter, item.id.view());
  run.items.push_back(std::move(item));
  // Under the app's own number: if this is a retry, mongod answers what it answered before.
  RunSession session = session_for(run);
  if (session.own) session.txn_number.reset();
  run.probe = true;
  std::string request = build_run_message(run, session, backend_.next_request_id());
  Result<std::string> answer = co_await backend_.call(std::move(request));
  if (!answer) co_return End::kBroken;
  const auto parsed = wire::parse_op_msg_trusted(*answer);
  if (!parsed) co_return End::kBroken;
  const RunReply said = read_run_reply(command_->kind, parsed->body);
  if (find_error_) {
    const std::optional<std::string> explained = co_await explain_refusal(statement);
    if (explained || (said.ok && said.errors.empty())) {
      add_refusal(statement, said, explained, reply);
      co_return End::kDone;
    }
  }
  reply.add(run, said);
  reply_is_whole_ =
      command_->statements.size() == 1 && !command_->unacknowledged && !said.concern_error;
  if (reply_is_whole_) store_reply_ = std::move(*answer);
  co_return End::kDone;
}

// A retry of a statement that has a record, and whose answer only the store still knows.
net::Task<Capture::End> Capture::ask_again(const Statement& statement, ReplyBuilder& reply) {
  Run run = new_run();
  RunItem item;
  item.statement = &statement;
  run.items.push_back(std::move(item));
  run.probe = true;
  const RunSession session = session_for(run);
  std::string request = build_run_message(run, session, backend_.next_request_id());
  Result<std::string> answer = co_await backend_.call(std::move(request));
  if (!answer) co_return End::kBroken;
  const auto parsed = wire::parse_op_msg_trusted(*answer);
  if (!parsed) co_return End::kBroken;
  const RunReply said = read_run_reply(command_->kind, parsed->body);
  if (said.ok && said.retried.empty()) {
    context_.log->error("the store ran a recorded statement in {} again", command_->ns);
  }
  reply.add(run, said);
  co_return End::kDone;
}

net::Task<Capture::End> Capture::execute_many(const Statement& statement, ReplyBuilder& reply) {
  Result<std::vector<bson::OwnedValue>> ids = co_await find_ids(statement, 0, nullptr);
  if (!ids && ids.error().code != ErrorCode::kRefused) co_return End::kBroken;
  if (!ids) find_error_ = ids.error();
  End end = End::kDone;
  if (ids && ids->empty() && statement.upsert) {
    end = co_await execute_one(statement, reply);
    co_return end;
  }
  if (!ids || ids->empty()) {
    end = co_await probe(statement, reply);
    co_return end;
  }
  ReplyBuilder many(*command_);
  for (size_t at = 0; at < ids->size(); at += kRunStatementsMax) {
    const size_t until = std::min(at + kRunStatementsMax, ids->size());
    std::vector<bson::OwnedValue> chunk(ids->begin() + static_cast<std::ptrdiff_t>(at),
                                        ids->begin() + static_cast<std::ptrdiff_t>(until));
    end = co_await execute_chunk(statement, std::move(chunk), many);
    if (end == End::kBroken || many.failed() || many.has_errors()) break;
  }
  if (many.has_errors()) many.forget_counts();
  reply.absorb(std::move(many));
  reply_is_whole_ = false;
  co_return end;
}

net::Task<Capture::End> Capture::execute_chunk(const Statement& statement,
                                               std::vector<bson::OwnedValue> ids,
                                               ReplyBuilder& reply) {
  LockRequest locks;
  locks.add(namespace_lock_key(command_->ns), LockMode::kShared);
  for (const bson::OwnedValue& id : ids) {
    locks.add(document_lock_key(command_->ns, id.view()), LockMode::kExclusive);
  }
  co_await wait_for_locks(context_, locks);
  End end = End::kDone;
  Result<std::vector<bson::OwnedValue>> still = co_await find_ids(statement, 0, &ids);
  if (!still) {
    end = still.error().code == ErrorCode::kRefused ? End::kDone : End::kBroken;
    if (end == End::kDone) reply.add_error(statement.index, find_error_code_, still.error().reason);
  }
  size_t next = 0;
  while (still && next < still->size() && end != End::kBroken) {
    Run run = new_run();
    while (next < still->size()) {
      RunItem item = narrowed_item(statement, std::move((*still)[next]));
      const bool alone = item.needs_before;
      if (alone && !run.items.empty()) break;
      ++next;
      run.items.push_back(std::move(item));
      if (alone) break;
    }
    end = co_await execute_locked(run, reply);
    if (reply.failed() || reply.has_errors()) break;
  }
  context_.locks.release(locks);
  co_return end;
}

}  // namespace outrigger
