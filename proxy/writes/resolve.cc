// Statements that do not name their document. The app's own filter is asked once, and what it finds
// is locked and run narrowed to the document. What was found stands, however the filter would
// answer now (by chance, by the clock), unless the document was held by somebody else in between;
// only then is it asked again, under the lock.
#include <algorithm>

#include "proxy/capture/id_bytes.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/capture.h"

namespace outrigger {
namespace {

using bson::Document;

// With the collection to oneself.
constexpr int kAttemptsAloneMax = 100;
// Who was not first tries what else matches, not the same document as all others who were not.
constexpr size_t kCandidates = 8;

constexpr int kWriteConflict = 112;

// Whether the collation of the statement has a say in what its update does.
bool update_is_collated(const WriteCommand& command, const Statement& statement,
                        const RunItem& item) {
  if (command.kind == CommandKind::kFindAndModify && command.body.has("fields")) return true;
  if (!item.shape) return false;
  return statement.array_filters || (item.shape->form != UpdateShape::Form::kLiteral &&
                                     item.shape->form != UpdateShape::Form::kReplacement);
}

// {fields: {"a.$": 1}}: the element that the filter matched.
bool projects_an_element(const WriteCommand& command) {
  const auto fields = command.body.find("fields");
  if (!fields || fields->type != bson::Type::kDocument) return false;
  for (const bson::Element& field : fields->as_document()) {
    if (field.name.ends_with(".$")) return true;
  }
  return false;
}

bool uses_expressions(const Document& filter) {
  for (const bson::Element& field : filter) {
    if (field.name == "$expr") return true;
    if (field.value.is_container() && uses_expressions(field.value.as_document())) return true;
  }
  return false;
}

}  // namespace

RunItem Capture::narrowed_item(const Statement& statement, bson::OwnedValue id) {
  RunItem item;
  item.statement = &statement;
  item.id = std::move(id);
  item.key = bson::canonical_key(item.id.view());
  item.upsert_changed = statement.upsert;
  if (!statement.remove && statement.update) {
    item.shape = read_update_shape(*statement.update, statement.array_filters.has_value());
    item.needs_before = item.shape->form == UpdateShape::Form::kDiff;
    item.needs_after = item.shape->form != UpdateShape::Form::kLiteral ||
                       command_->kind == CommandKind::kFindAndModify;
  }
  const std::string lasting = lasting_part(statement.filter, command_->let);
  item.narrows_further = !Document(lasting).empty();
  bool by_bytes = is_collated(item.id.view()) && !compares_simply(statement);
  if (by_bytes && statement.has_collation && !item.narrows_further &&
      !update_is_collated(*command_, statement, item)) {
    // Then the index of _id finds it, which it cannot under a collation of the statement's own.
    item.drops_collation = true;
    by_bytes = !simple_collation_;
  }
  TellApart by = by_bytes ? TellApart::kByExpression : TellApart::kNot;
  if (by_bytes && projects_an_element(*command_)) {
    if (has_id_patterns(item.id.view())) {
      by = TellApart::kByPattern;
    } else if (!statement.has_collation) {
      // Under the collection's own collation no two _id are equal: only another one born since
      // could be taken for this one.
      by = TellApart::kNot;
    }  // else mongod refuses the $expr, and the app is told so
  }
  item.filter = filter_of_document(item.id.view(), Document(lasting), by);
  return item;
}

net::Task<Capture::End> Capture::execute_resolved(const Statement& statement, ReplyBuilder& reply) {
  find_error_.reset();
  verdict_.reset();
  const bool replaces_many =
      statement.multi && statement.update &&
      read_update_shape(*statement.update, false).form == UpdateShape::Form::kReplacement;
  End end = End::kDone;
  // mongod takes no $expr in an upsert's filter, whether it matches something or not.
  if (statement.upsert && uses_expressions(statement.filter)) {
    const std::optional<std::string> refused = co_await explain_refusal(statement);
    if (refused) {
      find_error_ = Error{ErrorCode::kRefused, "", "", "the store refused the filter", ""};
      end = co_await probe(statement, reply);
      co_return end;
    }
  }
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
  End end = End::kTryAgain;
  for (int attempt = 0; attempt < kAttemptsMax && end != End::kNeedsAll; ++attempt) {
    const bool first_only = attempt == 0 || statement.sort;
    Result<Found> found = co_await find(statement, first_only ? 1 : kCandidates);
    if (!found && found.error().code != ErrorCode::kRefused) co_return End::kBroken;
    if (!found) find_error_ = found.error();
    if (!found || (found->ids.empty() && !statement.upsert)) {
      end = co_await probe(statement, reply);
      co_return end;
    }
    ReplyBuilder tried(*command_);
    if (found->ids.empty()) {
      end = co_await insert_by_upsert(statement, found->asked, tried);
    } else {
      end = co_await execute_found(statement, std::move(*found), tried);
    }
    if (end == End::kDone || end == End::kBroken || end == End::kAnotherCollection) {
      reply.absorb(std::move(tried));
      co_return end;
    }
    reply_is_whole_ = false;
  }
  end = co_await execute_alone(statement, reply);
  co_return end;
}

// Runs the statement on one of the documents: the first that nobody holds.
net::Task<Capture::End> Capture::execute_found(const Statement& statement, Found found,
                                               ReplyBuilder& reply) {
  LockRequest locks;
  const auto name = [&](const bson::OwnedValue& id) {
    locks.clear();
    locks.add(namespace_lock_key(command_->ns), LockMode::kShared);
    locks.add(document_lock_key(command_->ns, id.view()), LockMode::kExclusive);
  };
  size_t at = 0;
  for (; at < found.ids.size(); ++at) {
    name(found.ids[at]);
    if (context_.locks.try_acquire(locks)) break;
  }
  if (at == found.ids.size()) {
    at = 0;
    name(found.ids[at]);
    const bool locked = co_await take(locks);
    if (!locked) {
      reply.fail(out_of_time());
      co_return End::kDone;
    }
  }
  bson::OwnedValue& id = found.ids[at];
  Result<bool> stands = true;
  if (was_touched(id, found.asked)) stands = co_await still_chosen(statement, id);
  End end = End::kTryAgain;
  Left left = Left::kNothing;
  if (!stands && stands.error().code != ErrorCode::kRefused) end = End::kBroken;
  if (stands && *stands) {
    Run run = new_run();
    run.items.push_back(narrowed_item(statement, std::move(id)));
    end = co_await execute_locked(run, reply);
    left = run.left();
  }
  context_.locks.release(locks, left);
  co_return end;
}

// With the collection to itself. Others that are first now write around the sidecar.
net::Task<Capture::End> Capture::execute_alone(const Statement& statement, ReplyBuilder& reply) {
  LockRequest locks;
  locks.add(namespace_lock_key(command_->ns), LockMode::kExclusive);
  const bool locked = co_await take(locks);
  if (!locked) {
    reply.fail(out_of_time());
    co_return End::kDone;
  }
  End end = End::kTryAgain;
  Left left = Left::kNothing;
  for (int attempt = 0; attempt < kAttemptsAloneMax && end == End::kTryAgain; ++attempt) {
    const size_t most = statement.multi ? 0 : statement.sort ? 1 : kCandidates;
    Result<Found> found = co_await find(statement, most);
    if (!found && found.error().code != ErrorCode::kRefused) end = End::kBroken;
    if (end == End::kBroken) break;
    if (!found) find_error_ = found.error();
    if (!found || (found->ids.empty() && !statement.upsert)) {
      end = co_await probe(statement, reply);
      break;
    }
    if (statement.multi && !found->ids.empty()) {
      ReplyBuilder many(*command_);
      end = co_await execute_found_ids(statement, found->ids, many, left);
      if (many.has_errors()) many.forget_counts();
      reply.absorb(std::move(many));
      reply_is_whole_ = false;
      break;
    }
    Run run = new_run();
    if (found->ids.empty()) {
      run = upsert_as_it_is(statement);
    } else {
      const size_t at = static_cast<size_t>(attempt) % found->ids.size();
      run.items.push_back(narrowed_item(statement, std::move(found->ids[at])));
    }
    ReplyBuilder tried(*command_);
    end = co_await execute_locked(run, tried);
    left = std::max(left, run.left());
    if (end == End::kMatchedNothing) end = End::kTryAgain;
    if (end == End::kDone) reply.absorb(std::move(tried));
  }
  context_.locks.release(locks, left);
  if (end == End::kTryAgain) {
    reply_is_whole_ = false;
    reply.add_error(statement.index, kWriteConflict,
                    "Outrigger found documents that match, but each time somebody who writes "
                    "around it changed them first; try again");
    end = End::kDone;
  }
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
  if (verdict_) {
    reply.fail(std::move(*verdict_));
    co_return End::kDone;
  }
  Run run = new_run();
  bson::OwnedValue nothing(bson::Type::kObjectId, fresh_object_id());
  RunItem item = narrowed_item(statement, std::move(nothing));
  item.drops_collation = false;
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
  // What mongod says of the command as a whole comes before what it says of the filter.
  const bool refused_whole = !said.ok && command_->kind != CommandKind::kFindAndModify;
  if (find_error_ && !refused_whole) {
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

}  // namespace outrigger
