#include "proxy/writes/resolver.h"

#include <algorithm>

#include "proxy/capture/new_id.h"
#include "proxy/capture/run_plan.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using End = RunResult::End;

// Others may be first, again and again. After so many attempts the collection is taken for oneself,
// and then only writers around the sidecar can be.
constexpr int kAttemptsMax = 10;
// With the collection to oneself.
constexpr size_t kAttemptsAloneMax = 100;
constexpr int64_t kAloneFirstMs = 50;
constexpr int64_t kAloneLastMs = 1'000;
// Who was not first tries what else matches, not the same document as all others who were not.
constexpr size_t kCandidates = 8;
// How often an upsert's filter is asked again, because somebody wrote in the collection meanwhile,
// before the collection is taken for oneself.
constexpr int kAsksMax = 10;

// Upserts of one filter go one after another: the second finds what the first inserted.
uint64_t filter_lock_key(const WriteCommand& command, const Statement& statement) {
  std::string text = "filter";
  text.append(statement.filter.bytes());
  return document_lock_key(command.ns, std::string_view(text));
}

bool finds_nothing(const Found& found) { return found.is_known() && found.ids.empty(); }

// No document is there to be written, nor to be made.
bool ends_statement(const Statement& statement, const Found& found) {
  return !found.is_known() || (found.ids.empty() && !statement.upsert);
}

// An open transaction has its part of the collection for up to a minute, and everybody else would
// wait behind who waits for it. So that one steps back again and again, as long as it has stood.
net::Task<HeldLocks> wait_to_be_alone(ProxyContext& context, LockRequest& request,
                                      std::optional<int64_t> deadline_us) {
  net::Timer pause(context.loop);
  for (int64_t most_ms = kAloneFirstMs;; most_ms = std::min(2 * most_ms, kAloneLastMs)) {
    const int64_t until_us = context.clock.monotonic_us() + most_ms * 1000;
    const int64_t limit_us = std::min(until_us, deadline_us.value_or(until_us));
    HeldLocks locks = co_await wait_for_locks(context, request, limit_us);
    const bool is_late = deadline_us && context.clock.monotonic_us() >= *deadline_us;
    if (locks || is_late) co_return locks;
    locks.release();
    co_await pause.sleep_ms(most_ms);
  }
}

}  // namespace

net::Task<RunResult> Resolver::write(const Statement& statement) {
  RunResult result(request_.command);
  // mongod takes no $expr in an upsert's filter, whether it matches something or not.
  if (statement.upsert && uses_expressions(statement.filter)) {
    const StoreRefusals::Explained explained =
        co_await refusals_.explain(request_.command, statement);
    if (explained.broken) {
      result.end = End::kBroken;
      co_return result;
    }
    if (explained.refusal) {
      Found found;
      found.refusal.emplace();
      result = co_await end_without(statement, std::move(found));
      co_return result;
    }
  }
  const bool is_numbered = request_.command.session.is_retryable();
  if (replaces_many(statement) || (statement.multi && is_numbered)) {
    std::optional<FilterRefusal> none;  // of the filter: mongod refuses the statement
    result = co_await refusals_.probe(request_, statement, std::move(none));
  } else if (request_.transaction != nullptr) {
    result = co_await write_in_transaction(statement);
  } else if (statement.multi) {
    result = co_await write_many(statement);
  } else {
    result = co_await write_one(statement);
  }
  co_return result;
}

// What the filter finds stands: the statement will be run on the same snapshot, and where somebody
// has changed a document since, mongod says so.
net::Task<RunResult> Resolver::write_in_transaction(const Statement& statement) {
  RunResult result(request_.command);
  Found found = co_await reads_.find(statement, statement.multi ? 0 : 1);
  if (ends_statement(statement, found)) {
    result = co_await end_without(statement, std::move(found));
    co_return result;
  }
  if (found.ids.empty()) {
    result = co_await insert_as_it_is(statement);
    co_return result;
  }
  for (size_t next = 0; next < found.ids.size();) {
    Run run = gather_found(request_, statement, found.ids, next);
    RunResult part = co_await executor_.execute(std::move(run));
    next += part.items;
    result.absorb(std::move(part));
    if (result.end == End::kBroken || result.end == End::kAnotherCollection) co_return result;
    if (result.reply.failed() || result.reply.has_errors()) break;
  }
  if (result.reply.has_errors() && statement.multi) result.reply.forget_counts();
  result.end = End::kDone;
  co_return result;
}

// The app's own upsert, where it is sure to insert.
net::Task<RunResult> Resolver::insert_as_it_is(const Statement& statement) {
  RunResult result(request_.command);
  if (const auto name = dollar_name_in_new_id(statement)) {
    result.reply.add_error(
        statement.index, wire::code::kDollarPrefixedFieldName,
        "_id fields may not contain '$'-prefixed fields: " + *name + " is not valid for storage.");
    co_return result;
  }
  Run run = upsert_as_it_is(request_, statement, context_.birth());
  run.items.front().there = false;
  result = co_await executor_.execute(std::move(run));
  co_return result;
}

net::Task<RunResult> Resolver::write_one(const Statement& statement) {
  RunResult result(request_.command);
  for (int attempt = 0; attempt < kAttemptsMax && result.end != End::kNeedsAll; ++attempt) {
    const bool first_only = attempt == 0 || statement.sort;
    Found found = co_await reads_.find(statement, first_only ? 1 : kCandidates);
    if (ends_statement(statement, found)) {
      result = co_await end_without(statement, std::move(found));
      co_return result;
    }
    if (found.ids.empty()) {
      result = co_await insert(statement, found.asked);
    } else {
      result = co_await write_found(statement, std::move(found));
    }
    if (result.is_final()) co_return result;
  }
  result = co_await write_alone(statement);
  co_return result;
}

// Runs the statement on one of the documents: the first that nobody holds.
net::Task<RunResult> Resolver::write_found(const Statement& statement, Found found) {
  const std::string& ns = request_.command.ns;
  LockRequest request;
  const auto name = [&](const bson::OwnedValue& id) {
    request.clear();
    request.add(namespace_lock_key(ns), LockMode::kShared);
    request.add(document_lock_key(ns, id.view()), LockMode::kExclusive);
  };
  HeldLocks locks;
  size_t at = 0;
  for (; at < found.ids.size(); ++at) {
    name(found.ids[at]);
    locks = HeldLocks::try_take(context_.locks, request);
    if (locks) break;
  }
  if (!locks) {
    at = 0;
    name(found.ids[at]);
    locks = co_await wait_for_locks(context_, request, request_.deadline_us);
    if (!locks) co_return out_of_time();
  }
  bson::OwnedValue& id = found.ids[at];
  std::optional<bool> stands = true;
  const bool was_touched = reads_.was_touched(id, found.asked);
  if (was_touched) stands = co_await reads_.is_still_chosen(statement, id);
  RunResult result(request_.command);
  result.end = stands ? End::kMatchedNothing : End::kBroken;
  if (stands && *stands) {
    Run run = narrowed_run(request_, statement, std::move(id));
    RunItem& item = run.items.front();
    if (was_touched && !item.becomes.empty()) {  // an equal _id may have other bytes by now
      item.becomes.clear();
      item.needs_after = true;
    }
    result = co_await executor_.execute_locked(std::move(run));
  }
  locks.leave(result.left);
  co_return result;
}

// Statements for many documents: one find tells which, and each of them is a statement of its own.
net::Task<RunResult> Resolver::write_many(const Statement& statement) {
  RunResult result(request_.command);
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    Found found = co_await reads_.find(statement, 0);
    if (ends_statement(statement, found)) {
      result = co_await end_without(statement, std::move(found));
      co_return result;
    }
    if (!found.ids.empty()) {
      result = co_await write_each(statement, found);
      co_return result;
    }
    if (result.end == End::kNeedsAll) break;
    // What has come meanwhile is found by the next attempt, all of it.
    result = co_await insert(statement, found.asked);
    if (result.is_final()) co_return result;
  }
  result = co_await write_alone(statement);
  co_return result;
}

net::Task<RunResult> Resolver::write_each(const Statement& statement, const Found& found) {
  RunResult many(request_.command);
  const std::vector<bson::OwnedValue>& ids = found.ids;
  for (size_t at = 0; at < ids.size(); at += kRunStatementsMax) {
    const size_t until = std::min(at + kRunStatementsMax, ids.size());
    Found chunk;
    chunk.asked = found.asked;
    chunk.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(at),
                     ids.begin() + static_cast<std::ptrdiff_t>(until));
    RunResult result = co_await write_chunk(statement, std::move(chunk));
    many.absorb(std::move(result));
    if (many.end == End::kBroken || many.end == End::kAnotherCollection) break;
    if (many.reply.failed() || many.reply.has_errors()) break;
  }
  if (many.reply.has_errors()) many.reply.forget_counts();
  co_return many;
}

net::Task<RunResult> Resolver::write_chunk(const Statement& statement, Found chunk) {
  const std::string& ns = request_.command.ns;
  LockRequest request;
  request.add(namespace_lock_key(ns), LockMode::kShared);
  for (const bson::OwnedValue& id : chunk.ids) {
    request.add(document_lock_key(ns, id.view()), LockMode::kExclusive);
  }
  HeldLocks locks = co_await wait_for_locks(context_, request, request_.deadline_us);
  if (!locks) co_return out_of_time();
  RunResult result(request_.command);
  Found stand = co_await reads_.those_that_stand(statement, std::move(chunk));
  if (stand.broken) result.end = End::kBroken;
  if (stand.verdict) result.reply.fail(std::move(*stand.verdict));
  if (stand.refusal) {
    result.reply.add_error(statement.index, stand.refusal->code, stand.refusal->reason);
  }
  if (stand.is_known()) result = co_await write_locked(statement, stand.ids);
  locks.leave(result.left);
  co_return result;
}

net::Task<RunResult> Resolver::write_locked(const Statement& statement,
                                            const std::vector<bson::OwnedValue>& ids) {
  RunResult all(request_.command);
  size_t next = 0;
  while (next < ids.size()) {
    Run run = gather_found(request_, statement, ids, next);
    RunResult result = co_await executor_.execute_locked(std::move(run));
    next += result.items;
    all.absorb(std::move(result));
    if (all.end == End::kBroken || all.end == End::kAnotherCollection) co_return all;
    if (all.reply.failed() || all.reply.has_errors()) break;
  }
  all.end = End::kDone;  // those that somebody else was first to change match no longer
  co_return all;
}

// An upsert whose filter found nothing inserts a document, and must know which.
net::Task<RunResult> Resolver::insert(const Statement& statement, uint64_t asked) {
  const std::string& ns = request_.command.ns;
  Run run = inserting_run(request_, statement, context_.birth());
  const uint64_t ns_key = namespace_lock_key(ns);
  LockRequest request;
  request.add(ns_key, LockMode::kShared);
  request.add(filter_lock_key(request_.command, statement), LockMode::kExclusive);
  request.add(document_lock_key(ns, std::string_view(run.items.front().key)), LockMode::kExclusive);
  HeldLocks locks = co_await wait_for_locks(context_, request, request_.deadline_us);
  if (!locks) co_return out_of_time();
  locks.leave(Left::kNothing);  // so far
  RunResult result(request_.command);
  int asks = 0;
  while (context_.locks.written_since(ns_key, asked) && ++asks <= kAsksMax) {
    const Found found = co_await reads_.find(statement, 1);
    if (!finds_nothing(found)) {
      result.end = found.broken ? End::kBroken : End::kMatchedNothing;
      co_return result;
    }
    asked = found.asked;
  }
  if (asks > kAsksMax) {
    result.end = End::kNeedsAll;
    co_return result;
  }
  result = co_await executor_.execute_locked(std::move(run));
  locks.leave(result.left);
  // Another writer was first, and the filter will find its document; or the statement says or asks
  // something of _id, which mongod gives a new document last.
  if (result.end == End::kDone && result.reply.is_refused_surely()) result.end = End::kNeedsAll;
  co_return result;
}

// With the collection to itself. Others that are first now write around the sidecar.
net::Task<RunResult> Resolver::write_alone(const Statement& statement) {
  LockRequest request;
  request.add(namespace_lock_key(request_.command.ns), LockMode::kExclusive);
  HeldLocks locks = co_await wait_to_be_alone(context_, request, request_.deadline_us);
  if (!locks) co_return out_of_time();
  RunResult result(request_.command);
  result.end = End::kMatchedNothing;
  Left left = Left::kNothing;
  for (size_t attempt = 0; attempt < kAttemptsAloneMax; ++attempt) {
    result = co_await try_alone(statement, attempt);
    left = std::max(left, result.left);
    if (result.end != End::kMatchedNothing) break;
  }
  locks.leave(left);
  if (result.end == End::kMatchedNothing) {
    result = RunResult(request_.command);
    result.reply.add_error(statement.index, wire::code::kWriteConflict,
                           "Outrigger found documents that match, but each time somebody who "
                           "writes around it changed them first; try again");
  }
  co_return result;
}

net::Task<RunResult> Resolver::try_alone(const Statement& statement, size_t attempt) {
  RunResult result(request_.command);
  const size_t most = statement.multi ? 0 : statement.sort ? 1 : kCandidates;
  Found found = co_await reads_.find(statement, most);
  if (ends_statement(statement, found)) {
    result = co_await end_without(statement, std::move(found));
    co_return result;
  }
  if (statement.multi && !found.ids.empty()) {
    result = co_await write_locked(statement, found.ids);
    if (result.reply.has_errors()) result.reply.forget_counts();
    co_return result;
  }
  Run run;
  if (found.ids.empty()) {
    if (const auto name = dollar_name_in_new_id(statement)) {
      result.reply.add_error(statement.index, wire::code::kDollarPrefixedFieldName,
                             "_id fields may not contain '$'-prefixed fields: " + *name +
                                 " is not valid for storage.");
      co_return result;
    }
    run = upsert_as_it_is(request_, statement, context_.birth());
  } else {
    run = narrowed_run(request_, statement, std::move(found.ids[attempt % found.ids.size()]));
  }
  result = co_await executor_.execute_locked(std::move(run));
  co_return result;
}

net::Task<RunResult> Resolver::end_without(const Statement& statement, Found found) {
  RunResult result(request_.command);
  if (found.broken) {
    result.end = End::kBroken;
  } else if (found.verdict) {
    result.reply.fail(std::move(*found.verdict));
  } else {
    result = co_await refusals_.probe(request_, statement, std::move(found.refusal));
  }
  co_return result;
}

RunResult Resolver::out_of_time() const {
  RunResult result(request_.command);
  result.reply.fail(out_of_time_body());
  return result;
}

}  // namespace outrigger
