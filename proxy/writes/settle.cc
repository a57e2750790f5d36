// What a run did, by the store's answer; where the answer does not tell, by looking.
#include <algorithm>

#include "proxy/capture/doubt.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/capture.h"

namespace outrigger {
namespace {

constexpr int64_t kLookAgainMs = 500;

// What mongod would answer of a statement, to whom it is a retry.
std::string remembered_as_written() {
  return bson::Writer().int64("n", 1).int64("nModified", 1).finish();
}

}  // namespace

// An upsert whose _id the store chose: its image is read once the reply names it.
net::Task<bool> Capture::read_upserted(const RunReply& reply, Executed& executed) {
  for (const RunReply::Upserted& entry : reply.upserted) {
    const std::string key = bson::canonical_key(entry.id);
    if (executed.after.count(key) > 0) continue;
    RunItem item;
    item.id = bson::OwnedValue(entry.id);
    std::vector<const RunItem*> items = {&item};
    const Read seen = co_await read_images(std::move(items), Taken::kAfter, executed.after);
    if (!seen.done()) co_return false;
  }
  co_return true;
}

net::Task<Capture::End> Capture::settle(Run& run, const RunSession& session,
                                        const LocalWrite& write, Executed& executed,
                                        ReplyBuilder& reply) {
  const auto parsed = wire::parse_op_msg_trusted(executed.message);
  if (!parsed) co_return End::kBroken;
  const RunReply said = read_run_reply(command_->kind, parsed->body);
  if (!run.uuid.empty() && met_another_collection(said)) {
    context_.facts.forget(command_->ns);
    Outcome nothing;
    const bool dropped = co_await record(write, std::move(nothing));
    co_return dropped ? End::kAnotherCollection : End::kBroken;
  }
  if (said.concern_error) {
    const bool held = co_await wait_journaled();
    if (!held) co_return End::kBroken;
  }
  if (!session.own) note_retried(run, said);
  if (needs_unplanned_after_images(run, said)) {
    std::vector<const RunItem*> all;
    for (const RunItem& item : run.items) all.push_back(&item);
    executed.after.clear();
    const Read seen = co_await read_images(std::move(all), Taken::kAfter, executed.after);
    if (!seen.done()) co_return End::kBroken;
  }
  const bool seen = co_await read_upserted(said, executed);
  if (!seen) co_return End::kBroken;
  Outcome outcome;
  const std::vector<size_t> doubtful = doubtful_items(run, said, executed.before, executed.after);
  if (!doubtful.empty()) {
    const bool told = co_await look(run, write, doubtful, executed, outcome);
    if (!told) co_return End::kBroken;
  }
  for (const size_t item : doubtful) run.items[item].recorded = true;  // or not: see `outcome`
  const bool keep_equal = context_.policy.equal_set() == EqualSet::kKeep;
  std::vector<DocumentChange> certain =
      changes_of_run(run, said, executed.before, executed.after, keep_equal);
  std::move(certain.begin(), certain.end(), std::back_inserter(outcome.changes));
  run.changed =
      !outcome.changes.empty() || !said.ok || !said.errors.empty() || !said.retried.empty();
  if (session.own) outcome.retries.clear();
  if (!session.own) {
    std::vector<RetryEntry> answered = retry_entries(run, said);
    std::move(answered.begin(), answered.end(), std::back_inserter(outcome.retries));
  }
  const bool written = co_await record(write, std::move(outcome));
  if (!written) co_return End::kBroken;
  if (said.ok && said.n > 0) context_.facts.made(command_->ns);
  reply.add(run, said);
  reply_is_whole_ = said.ok && run.items.size() == command_->statements.size() &&
                    !command_->unacknowledged && !said.concern_error &&
                    std::none_of(run.items.begin(), run.items.end(),
                                 [](const RunItem& item) { return item.statement->multi; });
  if (reply_is_whole_) store_reply_ = std::move(executed.message);
  co_return said.ok&& said.n == 0 && said.errors.empty() ? End::kMatchedNothing : End::kDone;
}

// Into the outbox, with all writes of this turn.
net::Task<bool> Capture::record(const LocalWrite& write, Outcome outcome) {
  StagedWrites& staged = context_.appends.staged();
  Status done;
  if (outcome.changes.empty()) {
    context_.replica.drop(write, outcome.retries, staged);
  } else {
    done = context_.replica.settle(write, std::move(outcome.changes), outcome.retries, staged);
  }
  TurnAppends::Appended appended = context_.appends.appended();
  const Status written = co_await appended;
  if (done) done = written;
  if (!done) {
    context_.log->error("a write in {} is not recorded: {}", command_->ns, done.error().message());
  }
  co_return done.has_value();
}

// Finds out what became of the documents in doubt, under their locks. Where the whole document was
// seen before, seeing it again tells; else the sidecar's own user asks the oplog, or the document.
net::Task<bool> Capture::look(const Run& run, const LocalWrite& write,
                              const std::vector<size_t>& doubtful, Executed& executed,
                              Outcome& outcome) {
  context_.metrics.writes_looked_at.Increment();
  std::vector<size_t> unseen;
  for (const size_t at : doubtful) {
    const RunItem& item = run.items[at];
    const auto before = executed.before.find(item.key);
    const bool was_seen = item.shape && item.shape->form == UpdateShape::Form::kDiff &&
                          before != executed.before.end();
    if (!was_seen) {
      unseen.push_back(at);
      continue;
    }
    Images now;
    std::vector<const RunItem*> items = {&item};
    const Read seen = co_await read_images(std::move(items), Taken::kAfter, now);
    if (!seen.done()) co_return false;
    const auto after = now.find(item.key);
    if (after == now.end()) unseen.push_back(at);
    if (after == now.end() || after->second == before->second) continue;
    const Run alone = run_of_one(run, item);
    std::vector<DocumentChange> changes =
        changes_of_run(alone, reply_of_one(), executed.before, now, true);
    std::move(changes.begin(), changes.end(), std::back_inserter(outcome.changes));
    const AppSession& app = command_->session;
    if (!app.txn_number || app.lsid_id.empty()) continue;
    outcome.retries.push_back({retry_key(run.command->ns, app.lsid_id, app.user, *app.txn_number,
                                         item.statement->stmt_id),
                               remembered_as_written()});
  }
  if (unseen.empty()) {
    // What was seen must outlive mongod's crash before it is recorded.
    const bool held = co_await wait_journaled();
    co_return held;
  }
  const bool told = co_await ask_the_store(write, std::move(unseen), outcome);
  co_return told;
}

net::Task<bool> Capture::ask_the_store(const LocalWrite& write, std::vector<size_t> documents,
                                       Outcome& outcome) {
  net::Timer pause(context_.loop);
  while (!context_.store.stopping()) {
    auto look_at = context_.look_at;
    std::function<Result<SettledPrepare>(Store&)> job = [look_at, write, documents](Store& store) {
      return look_at(store, write, documents);
    };
    Result<SettledPrepare> told = co_await context_.store.ask(std::move(job));
    if (told) {
      std::move(told->changes.begin(), told->changes.end(), std::back_inserter(outcome.changes));
      std::move(told->retries.begin(), told->retries.end(), std::back_inserter(outcome.retries));
      co_return true;
    }
    context_.log->warn(
        "what a refused write in {} did is not known yet, its documents stay "
        "locked: {}",
        command_->ns, told.error().message());
    co_await pause.sleep_ms(kLookAgainMs);
  }
  co_return false;
}

// Statements mongod had executed before. Nothing is recorded twice: a retry entry says that there
// is a record. Without one, a statement that was resolved to a document may have been run on
// another one, by the attempt before; that one's record is on its way.
void Capture::note_retried(Run& run, const RunReply& reply) const {
  for (RunItem& item : run.items) {
    const int32_t stmt_id = item.statement->stmt_id;
    if (std::find(reply.retried.begin(), reply.retried.end(), stmt_id) == reply.retried.end()) {
      continue;
    }
    item.recorded = !item.filter.empty() || remembered(*item.statement);
  }
}

net::Task<void> Capture::settle_in_doubt(LocalWrite write, RunSession session) {
  context_.metrics.writes_in_doubt.Increment();
  const std::string address = backend_.stream().local_address();
  backend_.in_doubt = true;
  backend_.close();
  const std::string lsid(reinterpret_cast<const char*>(session.lsid.data()), session.lsid.size());
  net::Timer pause(context_.loop);
  while (!context_.store.stopping()) {
    auto settle = context_.settle_in_doubt;
    std::function<Status(Store&)> job = [settle, write, lsid, address](Store& store) {
      return settle(store, write, lsid, address);
    };
    const Status settled = co_await context_.store.ask(std::move(job));
    if (settled) {
      backend_.in_doubt = false;
      break;
    }
    context_.log->warn("a write in {} is in doubt, its documents stay locked: {}", command_->ns,
                       settled.error().message());
    co_await pause.sleep_ms(500);
  }
  context_.metrics.writes_in_doubt.Decrement();
}

}  // namespace outrigger
