// Statements for many documents: one find tells which, and each of them is a statement of its own.
#include <algorithm>

#include "proxy/writes/capture.h"

namespace outrigger {

net::Task<Capture::End> Capture::execute_many(const Statement& statement, ReplyBuilder& reply) {
  End end = End::kTryAgain;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const Result<Found> found = co_await find(statement, 0);
    if (!found && found.error().code != ErrorCode::kRefused) co_return End::kBroken;
    if (!found) find_error_ = found.error();
    if (!found || (found->ids.empty() && !statement.upsert)) {
      end = co_await probe(statement, reply);
      co_return end;
    }
    if (!found->ids.empty()) {
      end = co_await execute_each(statement, *found, reply);
      co_return end;
    }
    if (end == End::kNeedsAll) break;
    // What has come meanwhile is found by the next attempt, all of it.
    ReplyBuilder tried(*command_);
    end = co_await insert_by_upsert(statement, found->asked, tried);
    if (end == End::kDone || end == End::kBroken || end == End::kAnotherCollection) {
      reply.absorb(std::move(tried));
      co_return end;
    }
    reply_is_whole_ = false;
  }
  end = co_await execute_alone(statement, reply);
  co_return end;
}

net::Task<Capture::End> Capture::execute_each(const Statement& statement, const Found& found,
                                              ReplyBuilder& reply) {
  End end = End::kDone;
  ReplyBuilder many(*command_);
  const std::vector<bson::OwnedValue>& ids = found.ids;
  for (size_t at = 0; at < ids.size(); at += kRunStatementsMax) {
    const size_t until = std::min(at + kRunStatementsMax, ids.size());
    Found chunk;
    chunk.asked = found.asked;
    chunk.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(at),
                     ids.begin() + static_cast<std::ptrdiff_t>(until));
    end = co_await execute_chunk(statement, std::move(chunk), many);
    if (end == End::kBroken || end == End::kAnotherCollection) break;
    if (many.failed() || many.has_errors()) break;
  }
  if (many.has_errors()) many.forget_counts();
  reply.absorb(std::move(many));
  reply_is_whole_ = false;
  co_return end;
}

net::Task<Capture::End> Capture::execute_chunk(const Statement& statement, Found found,
                                               ReplyBuilder& reply) {
  LockRequest locks;
  locks.add(namespace_lock_key(command_->ns), LockMode::kShared);
  for (const bson::OwnedValue& id : found.ids) {
    locks.add(document_lock_key(command_->ns, id.view()), LockMode::kExclusive);
  }
  const bool locked = co_await take(locks);
  if (!locked) {
    reply.fail(out_of_time());
    co_return End::kDone;
  }
  End end = End::kDone;
  Left left = Left::kNothing;
  Result<std::vector<bson::OwnedValue>> ids =
      co_await those_that_stand(statement, std::move(found));
  if (!ids) {
    end = ids.error().code == ErrorCode::kRefused ? End::kDone : End::kBroken;
    if (verdict_) {
      reply.fail(*verdict_);
    } else if (end == End::kDone) {
      reply.add_error(statement.index, find_error_code_, ids.error().reason);
    }
  }
  if (ids && end == End::kDone) end = co_await execute_found_ids(statement, *ids, reply, left);
  context_.locks.release(locks, left);
  co_return end;
}

// Whoever calls holds the locks.
net::Task<Capture::End> Capture::execute_found_ids(const Statement& statement,
                                                   std::vector<bson::OwnedValue>& ids,
                                                   ReplyBuilder& reply, Left& left) {
  End end = End::kDone;
  size_t next = 0;
  while (next < ids.size() && end != End::kBroken) {
    Run run = gather_found(statement, ids, next);
    end = co_await execute_locked(run, reply);
    next += run.items.size();
    left = std::max(left, run.left());
    if (end == End::kAnotherCollection || reply.failed() || reply.has_errors()) break;
  }
  co_return end;
}

// As many of the documents from `first` on as go together.
Run Capture::gather_found(const Statement& statement, std::vector<bson::OwnedValue>& ids,
                          size_t first) {
  Run run = new_run();
  size_t bytes = 0;
  for (size_t i = first; i < ids.size(); ++i) {
    RunItem item = narrowed_item(statement, ids[i]);
    const bool alone = item.needs_before;
    bytes += statement.raw.bytes().size() + item.filter.size();
    if (!run.items.empty() && (alone || bytes > kRunBytesMax)) break;
    run.items.push_back(std::move(item));
    if (alone) break;
  }
  return run;
}

}  // namespace outrigger
