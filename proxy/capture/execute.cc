// One run: lock, prepare, send, settle.
#include <algorithm>

#include "proxy/capture/capture.h"
#include "proxy/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;

// Documents of a find or getMore reply, and the cursor that is left.
struct Batch {
  bool ok = false;
  int64_t cursor = 0;
  int code = 0;
  std::string error;
};

Batch read_batch(const Document& body, Images& out) {
  Batch batch;
  const auto ok = body.find("ok");
  batch.ok = ok && ok->truthy();
  if (!batch.ok) {
    const auto code = body.find("code");
    batch.code = code ? static_cast<int>(code->to_int64().value_or(0)) : 0;
    const auto text = body.find("errmsg");
    if (text && text->type == bson::Type::kString) batch.error = text->as_string();
    return batch;
  }
  const auto cursor = body.find("cursor");
  if (!cursor || cursor->type != bson::Type::kDocument) return batch;
  for (const bson::Element& field : cursor->as_document()) {
    if (field.name == "id") batch.cursor = field.value.to_int64().value_or(0);
    if (field.value.type != bson::Type::kArray) continue;
    for (const bson::Element& item : field.value.as_document()) {
      if (item.value.type != bson::Type::kDocument) continue;
      const Document document = item.value.as_document();
      const auto id = document.find("_id");
      if (id) out[bson::canonical_key(*id)] = std::string(document.bytes());
    }
  }
  return batch;
}

std::string get_more_message(const WriteCommand& command, int64_t cursor, int32_t request_id) {
  bson::Writer out;
  out.int64("getMore", cursor).string("collection", command.collection);
  out.string("$db", command.database);
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()));
}

// Errors after which a part of the command may have happened: a shutdown, a change of primary, an
// interruption, a network error inside the server.
bool is_uncertain(const Document& body) {
  const auto code = body.find("code");
  if (!code) return true;
  switch (code->to_int64().value_or(0)) {
    case 6:
    case 7:
    case 50:
    case 89:
    case 91:
    case 189:
    case 262:
    case 279:
    case 290:
    case 9001:
    case 10058:
    case 10107:
    case 11600:
    case 11601:
    case 11602:
    case 13435:
    case 13436:
      return true;
    default:
      return false;
  }
}

std::vector<const RunItem*> items_needing(const Run& run, bool RunItem::*flag) {
  std::vector<const RunItem*> out;
  for (const RunItem& item : run.items) {
    if (item.*flag) out.push_back(&item);
  }
  return out;
}

}  // namespace

net::Task<Capture::End> Capture::execute(Run& run, ReplyBuilder& reply) {
  LockRequest locks;
  locks.add(namespace_lock_key(command_->ns), LockMode::kShared);
  for (const RunItem& item : run.items) {
    locks.add(document_lock_key(command_->ns, std::string_view(item.key)), LockMode::kExclusive);
  }
  co_await wait_for_locks(context_, locks);
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

net::Task<Result<LocalWrite>> Capture::begin(Run& run, const RunSession& session,
                                             JournalWaits::Write& journal) {
  for (RunItem& item : run.items) look_at_row(item);
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
  const bool at_once = unsynced(run) == Unsynced::kByLooking;
  durable_ = context_.durable_waits.join(at_once);
  if (at_once) {
    journal.leave_turn();
    const std::shared_ptr<net::OneShot<Status>> durable = std::move(durable_);
    const Status synced = co_await durable->wait();
    if (!synced) co_return tl::unexpected(synced.error());
  }
  co_return write;
}

net::Task<Capture::End> Capture::execute_locked(Run& run, ReplyBuilder& reply) {
  std::optional<net::Loop::Unyielding> unyielding(std::in_place, context_.loop);
  const int64_t started_us = context_.clock.monotonic_us();
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
  Executed executed = co_await exchange(run, session, journal);
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

net::Task<Capture::Executed> Capture::exchange(Run& run, const RunSession& session,
                                               JournalWaits::Write& journal) {
  Executed out;
  const JournalWaits::Role role = journal.send();
  if (role == JournalWaits::Role::kFollows) run.concern = RunConcern::kAtOnce;
  if (role == JournalWaits::Role::kLeads) run.concern = RunConcern::kForOthers;
  const std::vector<const RunItem*> before = items_needing(run, &RunItem::needs_before);
  const std::vector<const RunItem*> after = items_needing(run, &RunItem::needs_after);
  // The bytes that came can go on as they are when mongod can count their statements by itself and
  // they carry the session they are prepared under.
  const bool as_it_came =
      run.verbatim && run.concern == RunConcern::kOwn && (!session.own || session.as_it_came);
  std::string first;
  std::string command;
  std::vector<std::string_view> pieces;
  if (!before.empty()) {
    first = build_images_message(*command_, before, backend_.next_request_id());
    pieces.push_back(first);
  }
  if (!as_it_came) command = build_run_message(run, session, backend_.next_request_id());
  pieces.push_back(as_it_came ? original_ : std::string_view(command));
  Status sent = co_await backend_.send(pieces);
  if (!before.empty() && sent) {
    Result<std::string> images = co_await backend_.receive();
    if (!images) sent = tl::unexpected(images.error());
    if (images) {
      const auto parsed = wire::parse_op_msg_trusted(*images);
      if (parsed) static_cast<void>(read_batch(parsed->body, out.before));
    }
  }
  Result<std::string> reply = tl::unexpected(Error{});
  if (sent) reply = co_await backend_.receive();
  if (!sent || !reply) {
    out.broken = true;
    co_return out;
  }
  out.message = std::move(*reply);
  JournalWaits::Shot journaled = share_answer(run, out.message, journal);
  if (!after.empty()) {
    Result<Images> images = co_await read_images(run, after);
    out.broken = !images;
    if (images) out.after = std::move(*images);
  }
  if (!journaled || out.broken) co_return out;
  const bool held = co_await is_journaled(std::move(journaled));
  out.broken = !held;
  co_return out;
}

net::Task<Result<Images>> Capture::read_images(const Run& run, std::vector<const RunItem*> items) {
  Images out;
  std::string request = build_images_message(*run.command, items, backend_.next_request_id());
  for (;;) {
    Result<std::string> reply = co_await backend_.call(std::move(request));
    if (!reply) co_return tl::unexpected(reply.error());
    const auto parsed = wire::parse_op_msg_trusted(*reply);
    if (!parsed)
      co_return fail(ErrorCode::kCorrupt, "read images", run.command->ns, parsed.error().message);
    const Batch batch = read_batch(parsed->body, out);
    if (!batch.ok) break;
    if (batch.cursor == 0) co_return out;
    request = get_more_message(*run.command, batch.cursor, backend_.next_request_id());
  }
  // The app may write here but not read: the sidecar's own user looks.
  std::vector<bson::OwnedValue> ids;
  for (const RunItem* item : items) ids.push_back(item->id);
  const std::string ns = run.command->ns;
  std::function<Result<Images>(Store&)> job = [ns, ids](Store& store) -> Result<Images> {
    auto documents = store.read(ns, ids);
    if (!documents) return tl::unexpected(documents.error());
    Images found;
    for (size_t i = 0; i < ids.size(); ++i) {
      if ((*documents)[i]) found[bson::canonical_key(ids[i].view())] = *(*documents)[i];
    }
    return found;
  };
  Result<Images> images = co_await context_.store.ask(std::move(job));
  co_return images;
}

// An upsert whose _id the store chose: its image is read once the reply names it.
net::Task<bool> Capture::read_upserted(const Run& run, const RunReply& reply, Executed& executed) {
  for (const RunReply::Upserted& entry : reply.upserted) {
    const std::string key = bson::canonical_key(entry.id);
    if (executed.after.count(key) > 0) continue;
    RunItem item;
    item.id = bson::OwnedValue(entry.id);
    std::vector<const RunItem*> items = {&item};
    Result<Images> images = co_await read_images(run, std::move(items));
    if (!images) co_return false;
    executed.after.merge(*images);
  }
  co_return true;
}

net::Task<Capture::End> Capture::settle(Run& run, const RunSession& session,
                                        const LocalWrite& write, Executed& executed,
                                        ReplyBuilder& reply) {
  const auto parsed = wire::parse_op_msg_trusted(executed.message);
  if (!parsed) co_return End::kBroken;
  const RunReply said = read_run_reply(command_->kind, parsed->body);
  if (!said.ok && is_uncertain(parsed->body)) co_return End::kBroken;
  if (said.concern_error) {
    const bool held = co_await wait_journaled();
    if (!held) co_return End::kBroken;
  }
  if (!session.own) note_retried(run, said);
  if (must_look_again(run, said)) {
    std::vector<const RunItem*> all;
    for (const RunItem& item : run.items) all.push_back(&item);
    Result<Images> images = co_await read_images(run, std::move(all));
    if (!images) co_return End::kBroken;
    executed.after = std::move(*images);
  }
  const bool seen = co_await read_upserted(run, said, executed);
  if (!seen) co_return End::kBroken;
  const bool keep_equal = context_.policy.equal_set() == EqualSet::kKeep;
  std::vector<DocumentChange> changes =
      changes_of_run(run, said, executed.before, executed.after, keep_equal);
  run.changed = !changes.empty() || !said.ok || !said.errors.empty() || !said.retried.empty();
  std::vector<RetryEntry> retries;
  if (!session.own) retries = retry_entries(run, said);
  StagedWrites& staged = context_.appends.staged();
  Status done;
  if (changes.empty()) {
    context_.replica.drop(write, retries, staged);
  } else {
    done = context_.replica.settle(write, std::move(changes), retries, staged);
  }
  TurnAppends::Appended appended = context_.appends.appended();
  const Status written = co_await appended;
  if (done) done = written;
  if (!done) {
    context_.log->error("a write in {} is not recorded: {}", command_->ns, done.error().message());
    co_return End::kBroken;
  }
  reply.add(run, said);
  reply_is_whole_ = run.items.size() == command_->statements.size() && !command_->unacknowledged &&
                    !said.concern_error &&
                    std::none_of(run.items.begin(), run.items.end(),
                                 [](const RunItem& item) { return item.statement->multi; });
  if (reply_is_whole_) store_reply_ = std::move(executed.message);
  co_return said.ok&& said.n == 0 && said.errors.empty() ? End::kMatchedNothing : End::kDone;
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
  backend_.close();
  const std::string lsid(reinterpret_cast<const char*>(session.lsid.data()), session.lsid.size());
  net::Timer pause(context_.loop);
  while (!context_.store.stopping()) {
    auto settle = context_.settle_in_doubt;
    std::function<Status(Store&)> job = [settle, write, lsid, address](Store& store) {
      return settle(store, write, lsid, address);
    };
    const Status settled = co_await context_.store.ask(std::move(job));
    if (settled) break;
    context_.log->warn("a write in {} is in doubt, its documents stay locked: {}", command_->ns,
                       settled.error().message());
    co_await pause.sleep_ms(500);
  }
  context_.metrics.writes_in_doubt.Decrement();
}

}  // namespace outrigger
