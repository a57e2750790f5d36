#include "proxy/writes/run_settler.h"

#include <algorithm>

#include "proxy/capture/doubt.h"
#include "proxy/transactions/transaction.h"

namespace outrigger {
namespace {

constexpr int64_t kLookAgainMs = 500;

// What mongod would answer of a statement, to whom it is a retry.
std::string remembered_as_written() {
  return bson::Writer().int64("n", 1).int64("nModified", 1).finish();
}

template <typename T>
void append(std::vector<T>&& more, std::vector<T>& to) {
  std::move(more.begin(), more.end(), std::back_inserter(to));
}

// mongod has written to all documents of the run, and would have refused to do so where somebody
// had been there since its snapshot. An equal value is not written, and of a findAndModify it does
// not say.
bool has_written_all(const Run& run, const RunReply& said) {
  const auto items = static_cast<int64_t>(run.items.size());
  switch (run.command->kind) {
    case CommandKind::kInsert:
      return true;
    case CommandKind::kUpdate:
      return said.modified + static_cast<int64_t>(said.upserted.size()) == items;
    case CommandKind::kDelete:
      return said.n == items;
    default:
      return !said.upserted.empty() || run.items.front().statement->remove;
  }
}

}  // namespace

std::optional<std::string> remembered(const ProxyContext& context, const WriteRequest& request,
                                      const Statement& statement) {
  if (!request.session_is_own) return std::nullopt;
  const std::optional<std::string> key = retry_key(request.command, statement);
  if (!key) return std::nullopt;
  Result<std::optional<std::string>> found = context.replica.retry(*key);
  if (!found || !found->has_value() || (*found)->empty()) return std::nullopt;
  return std::move(*found);
}

net::Task<RunResult> RunSettler::settle(Run& run, const RunSession& session, UndecidedWrite& write,
                                        RunAnswer& answer) {
  Effects found = co_await find_effects(run, session, write.name(), answer);
  if (found.result.end == RunResult::End::kBroken) co_return std::move(found.result);
  const bool written = co_await record(write, std::move(found.effects));
  // Not before: what was asked meanwhile may have been answered earlier.
  if (written && found.has_documents) context_.facts.made(request_.command.ns);
  if (!written) found.result.end = RunResult::End::kBroken;
  co_return std::move(found.result);
}

net::Task<RunSettler::Effects> RunSettler::find_effects(Run& run, const RunSession& session,
                                                        const LocalWrite& write,
                                                        RunAnswer& answer) {
  Effects out{RunResult(request_.command), {}, false};
  RunResult& result = out.result;
  RunEffects& effects = out.effects;
  result.left = run.left();
  result.end = RunResult::End::kBroken;
  const auto parsed = wire::parse_op_msg_trusted(answer.message);
  if (!parsed) co_return out;
  const RunReply said = read_run_reply(request_.command.kind, parsed->body);
  if (!run.uuid.empty() && met_another_collection(said)) {
    context_.facts.forget(request_.command.ns);
    result.end = RunResult::End::kAnotherCollection;
    co_return out;
  }
  result.missed_concern = said.concern_error.has_value();
  if (request_.transaction != nullptr && (!said.ok || !said.errors.empty())) {
    result.end = RunResult::End::kDone;  // mongod has ended the transaction: nothing happened
    result.reply.add(run, said, std::move(answer.message));
    co_return out;
  }
  if (!session.own) note_retried(run, said);
  if (!said.upserted.empty() || needs_unplanned_after_images(run, said)) {
    const bool seen = co_await read_what_is_missing(run, said, answer);
    if (!seen) co_return out;
  }
  const std::vector<size_t> doubtful = doubtful_items(run, said, answer.before, answer.after);
  if (!doubtful.empty() && request_.transaction != nullptr) {
    result.end = RunResult::End::kDone;
    result.reply.fail(conflict_body());
    co_return out;
  }
  if (!doubtful.empty()) {
    const bool told = co_await look(run, write, doubtful, answer.before, effects);
    if (!told) co_return out;
  }
  for (const size_t item : doubtful) run.items[item].recorded = true;  // or not: see `effects`
  // Indexes may have been made since the run was planned.
  const uint64_t forgotten = context_.facts.forgotten(request_.command.ns);
  if (forgotten != request_.collection.facts_forgotten) run.unique_fields = nullptr;
  const bool keep_equal = context_.policy.equal_set() == EqualSet::kKeep;
  append(changes_of_run(run, said, answer.before, answer.after, keep_equal), effects.changes);
  const bool changed =
      !effects.changes.empty() || !said.ok || !said.errors.empty() || !said.retried.empty();
  if (!changed) result.left = Left::kNothing;
  if (session.own) effects.retries.clear();
  const bool is_retryable = !session.own && request_.transaction == nullptr;
  if (is_retryable) append(retry_entries(run, said), effects.retries);
  out.has_documents = said.ok && said.n > 0;
  out.is_written = has_written_all(run, said);
  const bool matched_nothing = said.ok && said.n == 0 && said.errors.empty();
  result.end = matched_nothing ? RunResult::End::kMatchedNothing : RunResult::End::kDone;
  result.reply.add(run, said, std::move(answer.message));
  co_return out;
}

// Images that nobody knew to be needed before the store's answer.
net::Task<bool> RunSettler::read_what_is_missing(const Run& run, const RunReply& said,
                                                 RunAnswer& answer) {
  if (needs_unplanned_after_images(run, said)) {
    std::vector<const RunItem*> all;
    for (const RunItem& item : run.items) all.push_back(&item);
    answer.after.clear();
    const StoreRead seen = co_await reads_.read_images(std::move(all), Taken::kAfter, answer.after);
    if (!seen.done()) co_return false;
  }
  // An upsert whose _id the store chose. (Of any other its image was asked for with the rest.)
  for (const RunReply::Upserted& entry : said.upserted) {
    const std::string key = bson::canonical_key(entry.id);
    const bool is_named = entry.item < run.items.size() && run.items[entry.item].key == key;
    if (is_named || answer.after.count(key) > 0) continue;
    RunItem item;
    item.id = bson::OwnedValue(entry.id);
    std::vector<const RunItem*> items = {&item};
    const StoreRead seen =
        co_await reads_.read_images(std::move(items), Taken::kAfter, answer.after);
    if (!seen.done()) co_return false;
  }
  co_return true;
}

// What mongod has named by itself is locked now: nobody can have seen it.
net::Task<bool> RunSettler::keep(Effects& found) {
  Transaction& transaction = *request_.transaction;
  std::vector<LockKey> keys;
  for (const DocumentChange& change : found.effects.changes) {
    keys.push_back({document_lock_key(change.ns, change.id.view()), LockMode::kExclusive});
  }
  const bool locked = co_await lock_for(context_, transaction, std::move(keys));
  if (!locked) co_return false;
  for (const DocumentChange& change : found.effects.changes) {
    const uint64_t key = document_lock_key(change.ns, change.id.view());
    if (!found.is_written && transaction.is_outdated(key)) co_return false;
  }
  if (found.has_documents) transaction.made.insert(request_.command.ns);
  for (DocumentChange& change : found.effects.changes) {
    if (!transaction.add(std::move(change))) co_return false;
  }
  co_return true;
}

net::Task<bool> RunSettler::record(UndecidedWrite& write, RunEffects effects) {
  StagedWrites& staged = context_.appends.staged();
  Status done;
  if (effects.changes.empty()) {
    context_.replica.drop(write, effects.retries, staged);
  } else {
    done = context_.replica.settle(write, std::move(effects.changes), effects.retries, staged);
  }
  TurnAppends::Appended appended = context_.appends.appended();
  const Status written = co_await appended;
  if (done) done = written;
  if (!done) {
    context_.log->error("a write in {} is not recorded: {}", request_.command.ns,
                        done.error().message());
  }
  co_return done.has_value();
}

// Finds out what became of the documents in doubt. Where the whole document was seen before, seeing
// it again tells; else the sidecar's own user asks the oplog, or the document.
net::Task<bool> RunSettler::look(const Run& run, const LocalWrite& write,
                                 const std::vector<size_t>& doubtful, const Images& before,
                                 RunEffects& effects) {
  context_.metrics.writes_looked_at.Increment();
  std::vector<size_t> unseen;
  for (const size_t at : doubtful) {
    const RunItem& item = run.items[at];
    const auto was = before.find(item.key);
    const bool was_seen =
        item.shape && item.shape->form == UpdateShape::Form::kDiff && was != before.end();
    if (!was_seen) {
      unseen.push_back(at);
      continue;
    }
    Images now;
    std::vector<const RunItem*> items = {&item};
    const StoreRead seen = co_await reads_.read_images(std::move(items), Taken::kAfter, now);
    if (!seen.done()) co_return false;
    const auto is = now.find(item.key);
    if (is == now.end()) unseen.push_back(at);
    if (is == now.end() || is->second == was->second) continue;
    append(changes_of_run(run_of_one(run, item), reply_of_one(), before, now, true),
           effects.changes);
    std::optional<std::string> key = retry_key(request_.command, *item.statement);
    if (key) effects.retries.push_back({std::move(*key), remembered_as_written()});
  }
  if (unseen.empty() && effects.retries.empty()) co_return true;
  if (unseen.empty()) {
    // Sent again it is answered by the store, which must not forget that it ran.
    const bool held = co_await is_journaled(context_, backend_);
    co_return held;
  }
  const bool told = co_await ask_the_store(write, std::move(unseen), effects);
  co_return told;
}

net::Task<bool> RunSettler::ask_the_store(const LocalWrite& write, std::vector<size_t> documents,
                                          RunEffects& effects) {
  net::Timer pause(context_.loop);
  while (!context_.store.stopping()) {
    auto look_at = context_.look_at;
    std::function<Result<SettledPrepare>(Store&)> job = [look_at, write, documents](Store& store) {
      return look_at(store, write, documents);
    };
    Result<SettledPrepare> told = co_await context_.store.ask(std::move(job));
    if (told) {
      append(std::move(told->changes), effects.changes);
      append(std::move(told->retries), effects.retries);
      co_return true;
    }
    context_.log->warn(
        "what a refused write in {} did is not known yet, its documents stay "
        "locked: {}",
        request_.command.ns, told.error().message());
    co_await pause.sleep_ms(kLookAgainMs);
  }
  co_return false;
}

// Statements mongod had executed before. Nothing is recorded twice: a retry entry says that there
// is a record. Without one, a statement that was resolved to a document may have been run on
// another one, by the attempt before; that one's record is on its way.
void RunSettler::note_retried(Run& run, const RunReply& said) const {
  for (RunItem& item : run.items) {
    const int32_t stmt_id = item.statement->stmt_id;
    if (std::find(said.retried.begin(), said.retried.end(), stmt_id) == said.retried.end()) {
      continue;
    }
    item.recorded = !item.filter.empty() || remembered(context_, request_, *item.statement);
  }
}

net::Task<void> RunSettler::settle_in_doubt(UndecidedWrite& write, RunSession session) {
  std::string lsid(reinterpret_cast<const char*>(session.lsid.data()), session.lsid.size());
  std::string what = "a write in " + request_.command.ns;
  std::vector<UndecidedWrite*> writes = {&write};
  co_await outrigger::settle_in_doubt(context_, backend_, std::move(writes), std::move(lsid),
                                      std::move(what));
}

net::Task<void> settle_in_doubt(ProxyContext& context, Backend& backend,
                                std::vector<UndecidedWrite*> writes, std::string lsid,
                                std::string what) {
  context.metrics.writes_in_doubt.Increment();
  const std::string address = backend.stream().local_address();
  backend.close();
  net::Timer pause(context.loop);
  bool all_settled = true;
  for (UndecidedWrite* write : writes) {
    bool is_settled = false;
    while (!is_settled && !context.store.stopping()) {
      auto settle = context.settle_in_doubt;
      std::function<Status(Store&)> job = [settle, write, lsid, address](Store& store) {
        return settle(store, *write, lsid, address);
      };
      const Status settled = co_await context.store.ask(std::move(job));
      is_settled = settled.has_value();
      if (is_settled) break;
      context.log->warn("{} is in doubt, its documents stay locked: {}", what,
                        settled.error().message());
      co_await pause.sleep_ms(kLookAgainMs);
    }
    all_settled = all_settled && is_settled;
    write->leave_to_recovery();
  }
  if (all_settled) backend.note.set_in_doubt(false);
  context.metrics.writes_in_doubt.Decrement();
}

}  // namespace outrigger
