// One run: lock, prepare, send, settle.
#include <algorithm>

#include "proxy/capture/reads.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/capture.h"

namespace outrigger {
namespace {

using bson::Document;

}  // namespace

net::Task<Capture::End> Capture::execute(Run& run, ReplyBuilder& reply) {
  LockRequest locks;
  locks.add(namespace_lock_key(command_->ns), LockMode::kShared);
  for (const RunItem& item : run.items) {
    locks.add(document_lock_key(command_->ns, std::string_view(item.key)), LockMode::kExclusive);
  }
  const bool locked = co_await take(locks);
  if (!locked) {
    reply.fail(out_of_time());
    co_return End::kDone;
  }
  const End end = co_await execute_locked(run, reply);
  context_.locks.release(locks, run.left());
  co_return end;
}

RunSession Capture::session_for(const Run& run) {
  const AppSession& app = command_->session;
  RunSession session;
  session.own = !app.txn_number || app.lsid_id.size() != 16;
  if (!session.own) {
    std::copy_n(app.lsid_id.begin(), 16, session.lsid.begin());
    session.txn_number = app.txn_number;
    return session;
  }
  session.lsid = backend_.lsid();
  // A numbered write costs mongod a third more. The number is there to find the write in the oplog
  // after a crash; where looking at the document tells as much, it can be saved. Not for documents
  // written to again and again: each would wait for the one before (see begin).
  if (context_.retryable && (!shows_what_it_did(run) || unsynced(run) != Unsynced::kNone)) {
    session.txn_number = backend_.next_txn_number();
  } else if (run.verbatim && app.lsid_id.size() == 16) {
    std::copy_n(app.lsid_id.begin(), 16, session.lsid.begin());
    session.as_it_came = true;
  }
  return session;
}

Unsynced Capture::unsynced(const Run& run) const {
  Unsynced most = Unsynced::kNone;
  for (const RunItem& item : run.items) {
    most = std::max(most, context_.replica.unsynced(command_->ns, item.key));
  }
  return most;
}

// Which images the update of a document needs is for its row to say.
void Capture::look_at_row(RunItem& item) const {
  if (!item.shape) return;
  std::vector<const Path*> increments;
  for (const UpdateShape::Operation& op : item.shape->operations) {
    if (op.kind == PathChange::Kind::kIncrement) increments.push_back(&op.path);
  }
  const RowKnowledge known = context_.replica.row_knowledge(command_->ns, item.key, increments);
  item.opaque = known.opaque;
  item.needs_after = item.needs_after || known.opaque;
  const auto& bases = known.base_is_known;
  item.needs_before =
      item.needs_before || std::find(bases.begin(), bases.end(), false) != bases.end();
}

// Which images from before the run its record needs. Read here where they cannot just be asked for
// in front of the run: nobody knows yet whether the app's user may read, or no oplog will tell
// after a crash what was done, so that the prepare must say what there was. An answer that ends the
// command, or nothing.
net::Task<Capture::Read> Capture::see_before(Run& run, Executed& executed) {
  bool for_prepare = false;
  for (RunItem& item : run.items) {
    look_at_row(item);
    if (context_.retryable) continue;
    const bool diff = item.shape && item.shape->form == UpdateShape::Form::kDiff;
    const bool upsert = item.upsert && !item.there;
    item.needs_before = item.needs_before || upsert;
    for_prepare = for_prepare || diff || upsert;
  }
  Read seen = co_await fit_images(run);
  if (!seen.done()) co_return seen;
  std::vector<const RunItem*> before = items_needing(run, Taken::kBefore);
  if (before.empty() || (!for_prepare && backend_.may_read(command_->ns))) co_return seen;
  seen = co_await read_images(std::move(before), Taken::kBefore, executed.before);
  executed.saw_before = true;
  if (!for_prepare) co_return seen;
  for (RunItem& item : run.items) {
    const auto image = executed.before.find(item.key);
    const bool found = image != executed.before.end();
    if (item.upsert && !item.there) item.there = found;
    if (found && item.shape && item.shape->form == UpdateShape::Form::kDiff) {
      item.was = image->second;
    }
  }
  co_return seen;
}

net::Task<Result<LocalWrite>> Capture::begin(Run& run, const RunSession& session,
                                             JournalWaits::Write& journal) {
  if (!backend_.noted) {
    const Status noted =
        context_.replica.note_backend(backend_.lsid_text(), backend_.stream().local_address());
    if (!noted) co_return tl::unexpected(noted.error());
    backend_.noted = true;
  }
  Result<LocalWrite> write =
      context_.replica.begin(build_prepare(run, session), context_.appends.staged());
  if (!write) co_return write;
  TurnAppends::Appended appended = context_.appends.appended();
  const Status written = co_await appended;
  if (!written) co_return tl::unexpected(written.error());
  // Should the power fail now, the write before this one must not be judged by what this one does.
  const bool at_once = unsynced(run) == Unsynced::kRecoverableByContent;
  durable_ = context_.durable_waits.join(at_once);
  if (at_once) {
    journal.leave_turn();
    const std::shared_ptr<net::OneShot<Status>> durable = std::move(durable_);
    const Status synced = co_await durable->wait();
    if (!synced) co_return tl::unexpected(synced.error());
  }
  co_return write;
}

// Somebody may have made the collection, of whatever kind, while this waited for its locks. An
// exchange of one that was there is for its uuid to tell.
bool Capture::may_have_been_made(const Run& run) const {
  const bool makes = command_->kind == CommandKind::kInsert || run.items.front().upsert;
  return makes && uuid_.empty() && context_.facts.forgotten(command_->ns) != facts_forgotten_;
}

net::Task<Capture::End> Capture::execute_locked(Run& run, ReplyBuilder& reply) {
  if (may_have_been_made(run)) co_return End::kAnotherCollection;
  std::optional<net::Loop::Unyielding> unyielding(std::in_place, context_.loop);
  const int64_t started_us = context_.clock.monotonic_us();
  Executed executed;
  Read seen = co_await see_before(run, executed);
  if (seen.end == Read::End::kBroken) co_return End::kBroken;
  if (!seen.done()) {
    reply.fail(std::move(seen.body));
    co_return End::kDone;
  }
  const RunSession session = session_for(run);
  // Only a set's replies name the optimes this goes by.
  JournalWaits::Write journal(context_.journal_waits,
                              context_.retryable && may_share_wait(*command_));
  const Result<LocalWrite> write = co_await begin(run, session, journal);
  if (!write) {
    context_.metrics.refused_unavailable.Increment();
    reply.fail(wire::overloaded_body(write.error().message()));
    co_return End::kDone;
  }
  const int64_t sent_us = context_.clock.monotonic_us();
  co_await exchange(run, session, journal, executed);
  journal.end();
  if (!executed.broken) context_.durable_waits.learn(context_.clock.monotonic_us() - sent_us);
  End end = End::kBroken;
  if (!executed.broken) end = co_await settle(run, session, *write, executed, reply);
  unyielding.reset();  // what follows may take as long as mongod is away
  if (end == End::kBroken) co_await settle_in_doubt(*write, session);
  const int64_t took_us = context_.clock.monotonic_us() - started_us;
  context_.metrics.capture_seconds.Observe(static_cast<double>(took_us) / 1e6);
  co_return end;
}

// Sends the run, with the question for the images before in front of it if nobody has asked yet.
net::Task<Result<std::string>> Capture::send_run(Run& run, const RunSession& session,
                                                 Executed& executed) {
  std::vector<const RunItem*> before;
  if (!executed.saw_before) before = items_needing(run, Taken::kBefore);
  const bool together = !before.empty();
  run.max_time_ms = time_left_ms();
  // The bytes that came can go on as they are when mongod can count their statements by itself and
  // they carry the session they are prepared under.
  const bool as_it_came = run.verbatim && run.concern == RunConcern::kOwn && !run.max_time_ms &&
                          (!session.own || session.as_it_came);
  std::string first;
  std::string command;
  std::optional<Guarded> guarded;
  if (as_it_came && !run.uuid.empty()) guarded = guard_message(original_, *parsed_, run.uuid);
  std::vector<std::string_view> pieces;
  if (together) {
    first = build_images_message(*command_, before, Taken::kBefore, backend_.next_request_id());
    pieces.push_back(first);
  }
  if (guarded) {
    pieces.push_back(guarded->start);
    pieces.push_back(guarded->rest);
  } else if (as_it_came && run.uuid.empty()) {
    pieces.push_back(original_);
  } else {
    command = build_run_message(run, session, backend_.next_request_id());
    pieces.push_back(command);
  }
  Status sent = co_await backend_.send(pieces);
  if (!sent) co_return tl::unexpected(sent.error());
  if (together) {
    Result<std::string> images = co_await backend_.receive();
    if (!images) co_return images;
    // What is not in it is looked at afterwards.
    if (!take_images(*images, executed.before)) backend_.must_ask_to_read(command_->ns);
  }
  Result<std::string> reply = co_await backend_.receive();
  co_return reply;
}

net::Task<void> Capture::exchange(Run& run, const RunSession& session, JournalWaits::Write& journal,
                                  Executed& out) {
  const JournalWaits::Role role = journal.send();
  if (role == JournalWaits::Role::kFollows) run.concern = RunConcern::kFollower;
  if (role == JournalWaits::Role::kLeads) run.concern = RunConcern::kLeader;
  Result<std::string> reply = co_await send_run(run, session, out);
  if (!reply) {
    out.broken = true;
    co_return;
  }
  out.message = std::move(*reply);
  JournalWaits::Shot journaled = share_answer(run, out.message, journal);
  const auto parsed = wire::parse_op_msg_trusted(out.message);
  const bool is_refused = !parsed || !read_run_reply(command_->kind, parsed->body).ok;
  const std::vector<const RunItem*> after = items_needing(run, Taken::kAfter);
  if (!after.empty() && !is_refused) {
    const Read seen = co_await read_images(after, Taken::kAfter, out.after);
    out.broken = !seen.done();
  }
  if (!journaled || out.broken) co_return;
  const bool held = co_await is_journaled(std::move(journaled));
  out.broken = !held;
}

}  // namespace outrigger
