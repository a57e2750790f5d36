#include "proxy/writes/run_executor.h"

#include <algorithm>

#include "proxy/capture/run_plan.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/transactions/transaction.h"

namespace outrigger {
namespace {

// What makes a command of ours one of the transaction; empty: there is none.
std::string naming(const WriteRequest& request, bool with_api) {
  if (request.transaction == nullptr) return {};
  return request.transaction->naming(request.command.body, with_api);
}

// What it removes may have to come back.
bool yields(const Run& run, const RunItem& item) {
  return item.statement->remove && run.removal() != Removal::kPlain;
}

}  // namespace

net::Task<RunResult> RunExecutor::execute(Run run) {
  if (request_.transaction != nullptr) {
    RunResult kept = co_await execute_in_transaction(std::move(run));
    co_return kept;
  }
  const std::string& ns = request_.command.ns;
  LockRequest request;
  request.add(namespace_lock_key(ns), LockMode::kShared);
  for (const RunItem& item : run.items) {
    request.add(document_lock_key(ns, std::string_view(item.key)), LockMode::kExclusive);
  }
  RunResult result(request_.command);
  HeldLocks locks = co_await wait_for_locks(context_, request, request_.deadline_us);
  if (!locks) {
    result.reply.fail(out_of_time_body());
    co_return result;
  }
  result = co_await execute_locked(std::move(run));
  locks.leave(result.left);
  co_return result;
}

net::Task<RunResult> RunExecutor::execute_locked(Run run) {
  RunResult result(request_.command);
  result.left = run.left();
  if (may_have_been_made(run) || reads_.have_been_recorded(run)) {
    result.end = RunResult::End::kAnotherCollection;
    co_return result;
  }
  std::optional<net::Loop::Unyielding> unyielding(std::in_place, context_.loop);
  const int64_t started_us = context_.clock.monotonic_us();
  SeenBefore seen = co_await see_before(run);
  if (!seen.read.done()) {
    if (seen.read.end == StoreRead::End::kBroken) result.end = RunResult::End::kBroken;
    result.reply.fail(std::move(seen.read.body));
    co_return result;
  }
  const RunSession session = session_for(run);
  run.concern = concern_of(request_.command, context_.found_again);
  std::optional<OplogWatch::Write> watched(std::in_place, context_.oplog_watch,
                                           run.concern == RunConcern::kJournaled);
  Result<Begun> begun = co_await begin(run, session);
  if (!begun) {
    context_.metrics.refused_unavailable.Increment();
    result.reply.fail(wire::overloaded_body(begun.error().message()));
    co_return result;
  }
  const int64_t sent_us = context_.clock.monotonic_us();
  RunAnswer answer = co_await send(run, session, std::move(seen));
  watched.reset();
  if (answer.broken) {
    result.end = RunResult::End::kBroken;
  } else {
    context_.durable_waits.learn(context_.clock.monotonic_us() - sent_us);
    result = co_await settler_.settle(run, session, begun->write, answer);
  }
  unyielding.reset();  // what follows may take as long as mongod is away
  if (result.end == RunResult::End::kBroken) {
    co_await settler_.settle_in_doubt(begun->write, session);
  } else {
    backend_.note.set_in_doubt(false);
  }
  const int64_t took_us = context_.clock.monotonic_us() - started_us;
  context_.metrics.capture_seconds.Observe(static_cast<double>(took_us) / 1e6);
  result.items = run.items.size();
  // What is found in the oplog again needs its prepare on disk, anything else its record.
  result.durable = std::move(begun->durable);
  const bool is_recorded = result.left != Left::kNothing && result.end != RunResult::End::kBroken;
  if (is_recorded && (!result.durable || result.missed_concern)) {
    result.durable = context_.durable_waits.join(true);
  }
  co_return result;
}

net::Task<RunResult> RunExecutor::execute_in_transaction(Run run) {
  const std::string& ns = request_.command.ns;
  RunResult result(request_.command);
  std::vector<LockKey> keys = {{namespace_lock_key(ns), LockMode::kShared}};
  for (const RunItem& item : run.items) {
    keys.push_back({document_lock_key(ns, std::string_view(item.key)), LockMode::kExclusive});
  }
  const bool locked = co_await lock_for(context_, *request_.transaction, std::move(keys));
  if (!locked) {
    result.reply.fail(conflict_body());
  } else if (may_have_been_made(run)) {
    result.end = RunResult::End::kAnotherCollection;
  } else {
    const net::Loop::Unyielding unyielding(context_.loop);
    result = co_await run_in_transaction(run);
  }
  result.items = run.items.size();
  co_return result;
}

net::Task<RunResult> RunExecutor::run_in_transaction(Run& run) {
  RunResult result(request_.command);
  SeenBefore seen;
  seen.read = co_await see_in_transaction(run, seen);
  if (!seen.read.done()) {
    if (seen.read.end == StoreRead::End::kBroken) result.end = RunResult::End::kBroken;
    result.reply.fail(std::move(seen.read.body));
    co_return result;
  }
  const RunSession session = session_for(run);
  RunAnswer answer = co_await send(run, session, std::move(seen));
  result.end = RunResult::End::kBroken;
  if (answer.broken) co_return result;
  const LocalWrite none;  // nothing is begun
  RunSettler::Effects found = co_await settler_.find_effects(run, session, none, answer);
  result = std::move(found.result);
  const bool was_made_anew = result.end == RunResult::End::kAnotherCollection;
  if (result.end == RunResult::End::kBroken) co_return result;
  bool is_kept = false;
  if (!was_made_anew) is_kept = co_await settler_.keep(found);
  if (is_kept) co_return result;
  result = RunResult(request_.command);
  result.reply.fail(was_made_anew || request_.transaction->has_room() ? conflict_body()
                                                                      : too_large_body());
  co_return result;
}

// As see_before(); and who may not read at all is told so before mongod has written anything.
net::Task<StoreRead> RunExecutor::see_in_transaction(Run& run, SeenBefore& seen) {
  SeenBefore before = co_await see_before(run);
  seen.images = std::move(before.images);
  seen.is_all = before.is_all;
  const bool shows = items_needing(run, Taken::kAfter).empty() && !run.items.front().upsert;
  if (!before.read.done() || shows || backend_.may_read(request_.command.ns)) {
    co_return std::move(before.read);
  }
  Images unused;
  std::vector<const RunItem*> first = {&run.items.front()};
  StoreRead read = co_await reads_.read_images(std::move(first), Taken::kBefore, unused);
  co_return read;
}

// While this waited for its locks. A uuid tells; but a time series heeds none that inserts name.
bool RunExecutor::may_have_been_made(const Run& run) const {
  const bool is_told = !run.uuid.empty() && run.command->kind != CommandKind::kInsert;
  return may_make_collection(run) && !is_told &&
         context_.facts.forgotten(request_.command.ns) != request_.collection.facts_forgotten;
}

RunSession RunExecutor::session_for(const Run& run) {
  const std::optional<RunSession> apps = session_of_app(request_.command);
  if (apps) return *apps;
  RunSession session;
  session.lsid = backend_.lsid();
  // A numbered write costs mongod a third more. The number is there to find the write in the oplog
  // after a crash; where looking at the document tells as much, it can be saved. Not for documents
  // written to again and again: each would wait for the one before (see begin).
  const AppSession& app = request_.command.session;
  if (context_.retryable && (!shows_what_it_did(run) || unsynced(run) != Unsynced::kNone)) {
    session.txn_number = backend_.next_txn_number();
  } else if (run.verbatim && app.lsid_id.size() == session.lsid.size()) {
    std::copy_n(app.lsid_id.begin(), session.lsid.size(), session.lsid.begin());
    session.as_it_came = true;
  }
  return session;
}

Unsynced RunExecutor::unsynced(const Run& run) const {
  Unsynced most = Unsynced::kNone;
  for (const RunItem& item : run.items) {
    most = std::max(most, context_.replica.unsynced(request_.command.ns, item.key));
  }
  return most;
}

// Which images from before the run its record needs. Read here where they cannot just be asked for
// in front of the run: nobody knows yet whether the app's user may read, or no oplog will tell
// after a crash what was done, so that the prepare must say what there was; or what is removed may
// have to come back.
net::Task<RunExecutor::SeenBefore> RunExecutor::see_before(Run& run) {
  SeenBefore out;
  if (run.is_of_series) out.read = co_await reads_.count_measurements(run);
  if (run.is_of_series) co_return out;
  bool for_prepare = false;
  for (RunItem& item : run.items) {
    look_at_row(context_.replica, request_.command, item);
    if (yields(run, item)) item.needs_before = for_prepare = true;
    for_prepare = for_prepare || is_replaced_by_diff(item);
    if (context_.retryable) continue;
    const bool diff = is_told_by_both(item);
    const bool upsert = item.upsert && !item.there;
    item.needs_before = item.needs_before || diff || upsert;
    for_prepare = for_prepare || diff || upsert;
  }
  out.read = co_await fit_images(run);
  if (!out.read.done()) co_return out;
  std::vector<const RunItem*> before = items_needing(run, Taken::kBefore);
  const bool may_read = backend_.may_read(request_.command.ns);
  // Of several whole documents one answer may not hold all.
  const bool one_answer = before.size() == 1 || !any_edits_unknown(run);
  if (before.empty() || (!for_prepare && may_read && one_answer)) co_return out;
  out.read = co_await reads_.read_images(std::move(before), Taken::kBefore, out.images);
  out.is_all = true;
  if (!for_prepare) co_return out;
  for (RunItem& item : run.items) {
    const auto image = out.images.find(item.key);
    const bool found = image != out.images.end();
    if (item.upsert && !item.there) item.there = found;
    const bool diff = is_told_by_both(item);
    if (found && (diff || yields(run, item))) item.was = image->second;
  }
  co_return out;
}

// The images of a run are in memory together. Where they are many, mongod is asked first how large
// they are; what does not fit is left for the next run.
net::Task<StoreRead> RunExecutor::fit_images(Run& run) {
  StoreRead out;
  out.end = StoreRead::End::kDone;
  const Taken taken = yields(run, run.items.front()) ? Taken::kBefore : Taken::kAfter;
  std::vector<const RunItem*> items = items_needing(run, taken);
  const bool from_before =
      any_edits_unknown(run) || std::any_of(run.items.begin(), run.items.end(), takes_two_images);
  const size_t each = from_before ? 2 : 1;
  if (each * items.size() <= kUnaskedImagesMax) co_return out;
  Sizes sizes;
  out = co_await reads_.read_sizes(std::move(items), sizes);
  if (!out.done()) co_return out;
  const size_t fitting = fitting_items(run, sizes);
  if (fitting == run.items.size()) co_return out;
  run.items.resize(fitting);
  run.verbatim = false;
  co_return out;
}

net::Task<Result<RunExecutor::Begun>> RunExecutor::begin(const Run& run,
                                                         const RunSession& session) {
  const Status noted = note_backend(context_, backend_);
  if (!noted) co_return tl::unexpected(noted.error());
  Prepare prepare = build_prepare(run, session);
  prepare.app = backend_.app;
  Result<UndecidedWrite> write =
      context_.replica.begin(std::move(prepare), context_.appends.staged());
  if (!write) co_return tl::unexpected(write.error());
  TurnAppends::Appended appended = context_.appends.appended();
  const Status written = co_await appended;
  if (!written) {
    write->leave_to_recovery();
    co_return tl::unexpected(written.error());
  }
  Begun out;
  out.write = std::move(*write);
  // Should the power fail now, the write before this one must not be taken for what this one does.
  const bool at_once = unsynced(run) == Unsynced::kRecoverableByContent;
  if (at_once) {
    const DurableWaits::Shot durable = context_.durable_waits.join(true);
    const Status synced = co_await durable->wait();
    if (!synced) {
      out.write.leave_to_recovery();
      co_return tl::unexpected(synced.error());
    }
  }
  if (run.concern == RunConcern::kJournaled) out.durable = context_.durable_waits.join();
  if (run.concern == RunConcern::kAsAsked) context_.durable_waits.before_long();
  backend_.note.set_in_doubt(true);
  co_return out;
}

// What is asked for around the run in the same breath, of what it needs: not what its own answer
// shows, and afterwards no more than surely fits into one answer.
RunExecutor::Around RunExecutor::around(const Run& run, bool before_is_known) const {
  Around out;
  const std::optional<Taken> shown = image_in_answer(request_.command);
  if (!before_is_known && shown != Taken::kBefore) out.before = items_needing(run, Taken::kBefore);
  if (shown != Taken::kAfter && backend_.may_read(request_.command.ns)) {
    out.after = items_needing(run, Taken::kAfter);
    if (out.after.size() > kUnaskedImagesMax) out.after.clear();
  }
  return out;
}

net::Task<RunAnswer> RunExecutor::send(Run& run, const RunSession& session, SeenBefore seen) {
  RunAnswer out;
  out.before = std::move(seen.images);
  const Around asked = around(run, seen.is_all);
  const Status answered = co_await send_and_receive(run, session, asked, out);
  if (!answered) {
    out.broken = true;
    co_return out;
  }
  const auto parsed = wire::parse_op_msg_trusted(out.message);
  if (!parsed) co_return out;
  // Elected again since, in the same process: it may have been rolled back in between, and what it
  // wrote to lacks what was acknowledged.
  if (is_of_another_election(parsed->body, backend_.process.value_or(std::string()))) {
    backend_.close();
    out.broken = true;
    co_return out;
  }
  const RunReply said = read_run_reply(request_.command.kind, parsed->body);
  const std::optional<Taken> shown = image_in_answer(request_.command);
  if (shown) take_answered_image(said.body, shown == Taken::kAfter ? out.after : out.before);
  std::vector<const RunItem*> after = items_needing(run, Taken::kAfter);
  const auto is_seen = [&](const RunItem* item) { return out.after.count(item->key) > 0; };
  const bool is_needed = said.ok && !std::all_of(after.begin(), after.end(), is_seen);
  // Of what matched nothing there is no image; it was looked for then.
  const bool is_sure = !asked.after.empty() && said.n == 0;
  if (is_needed && !is_sure) {
    const StoreRead read = co_await reads_.read_images(std::move(after), Taken::kAfter, out.after);
    out.broken = !read.done();
  }
  co_return out;
}

// Sends the run, with the questions for images in front of it and behind it.
net::Task<Status> RunExecutor::send_and_receive(Run& run, const RunSession& session,
                                                const Around& asked, RunAnswer& answer) {
  run.max_time_ms = request_.time_left_ms(context_.clock.monotonic_us());
  std::string first;
  std::string command;
  std::string last;
  std::optional<Guarded> guarded;
  std::vector<std::string_view> pieces;
  if (!asked.before.empty()) {
    first = build_images_message(request_.command, asked.before, Taken::kBefore,
                                 naming(request_, true), backend_.next_request_id());
    pieces.push_back(first);
  }
  // The bytes that came can go on as they are when mongod can count their statements by itself and
  // they carry the session they are prepared under.
  Transaction* const transaction = request_.transaction;
  const bool names_session = transaction == nullptr ? !session.own || session.as_it_came
                                                    : request_.command.session.starts_transaction !=
                                                          transaction->is_begun();
  const bool as_it_came = goes_as_it_came(run) && names_session;
  if (as_it_came && !run.uuid.empty()) {
    guarded = guard_message(request_.message, request_.parsed, run.uuid);
  }
  if (guarded && backend_.packs()) guarded->start.append(std::exchange(guarded->rest, {}));
  if (guarded) {
    pieces.push_back(guarded->start);
    if (!guarded->rest.empty()) pieces.push_back(guarded->rest);
  } else if (as_it_came && run.uuid.empty()) {
    pieces.push_back(request_.message);
  } else {
    RunSession named = session;
    named.transaction = naming(request_, false);
    command = build_run_message(run, named, backend_.next_request_id());
    pieces.push_back(command);
  }
  if (transaction != nullptr) transaction->begin();
  if (!asked.after.empty()) {
    last = build_images_message(request_.command, asked.after, Taken::kAfter,
                                naming(request_, true), backend_.next_request_id());
    pieces.push_back(last);
  }
  Status sent = co_await backend_.send(pieces);
  if (!sent) co_return sent;
  if (!asked.before.empty()) {
    const bool found = co_await receive_images(answer.before);
    if (!found) co_return fail(ErrorCode::kUnavailable, "read images", "", "no answer");
  }
  Result<std::string> reply = co_await backend_.receive();
  if (!reply) co_return tl::unexpected(reply.error());
  answer.message = std::move(*reply);
  if (!asked.after.empty()) {
    const bool found = co_await receive_images(answer.after);
    if (!found) co_return fail(ErrorCode::kUnavailable, "read images", "", "no answer");
  }
  co_return Status();
}

// What is not in them is looked at afterwards. False: the connection is gone.
net::Task<bool> RunExecutor::receive_images(Images& images) {
  Result<std::string> found = co_await backend_.receive();
  if (!found) co_return false;
  if (!take_images(*found, images)) backend_.must_ask_to_read(request_.command.ns);
  co_return true;
}

}  // namespace outrigger
