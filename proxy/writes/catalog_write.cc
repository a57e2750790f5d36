#include "proxy/writes/catalog_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proxy/capture/relaxed_commands.h"
#include "proxy/capture/statement.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/catalog_command.h"
#include "replication/store/key_guard.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;

// A drop names each document it removes, here and at each peer.
constexpr int64_t kDroppedMax = 1'000'000;
constexpr int64_t kAskAgainMs = 20;

// All _ids of the collection, by its index where it has one.
std::string find_ids(std::string_view collection, bool is_clustered) {
  Writer out;
  out.string("find", collection).open_document("projection").int32("_id", 1).close();
  if (!is_clustered) out.open_document("hint").int32("_id", 1).close();
  return out.int64("limit", kDroppedMax + 1).finish();
}

std::string too_many(const std::string& ns) {
  return wire::error_body(
      wire::code::kExceededMemoryLimit,
      fmt::format(
          "{} holds more than {} documents, which are too many to be dropped at once at all "
          "sites; delete a part of them first",
          ns, kDroppedMax));
}

}  // namespace

net::Task<Answer> CatalogWrite::run(std::string_view message, const wire::OpMsg& parsed,
                                    std::string ns) {
  const Status admitted = context_.replica.admit();
  if (!admitted) {
    context_.metrics.refused_unavailable.Increment();
    co_return Answer::body(wire::overloaded_body(admitted.error().message()));
  }
  const std::string_view name = parsed.command_name();
  How how = How::kWhole;
  if (name == "drop") how = How::kDrop;
  if (name == "createIndexes") how = How::kBuild;
  if (name == "dropIndexes" || name == "deleteIndexes") how = How::kIndexes;
  const Command command{message, parsed, ns, how};
  context_.facts.forget(ns);
  Answer answer;
  if (how == How::kBuild) {
    answer = co_await build(command);
  } else {
    answer = co_await change(command);
  }
  context_.facts.forget(ns);
  co_return answer;
}

net::Task<Answer> CatalogWrite::change(const Command& command) {
  LockRequest request;
  const bool is_of_indexes = command.how == How::kIndexes;
  add_catalog_locks(request, command.ns, is_of_indexes ? LockMode::kShared : LockMode::kExclusive);
  HeldLocks locks = co_await wait_for_locks(context_, request);
  KeptNotes& kept = context_.replica.parts().kept;
  const HeldBuilds held(kept.shown(), command.ns);
  Seen before = co_await look(command.ns, command.how == How::kDrop);
  if (before.refused) co_return std::move(*before.refused);
  CatalogParts parts;
  if (before.entry) {
    Result<CatalogParts> begun = co_await begin(command, before);
    if (!begun) co_return Answer::body(wire::overloaded_body(begun.error().message()));
    parts = std::move(*begun);
  }
  IndexDrop drop = index_drop(command, before);
  writing_ = true;
  std::optional<std::string> words = drop.words();
  Result<std::string> reply = co_await send_as(command, std::move(words));
  const bool has_answer = reply && !command.parsed.more_to_come();
  if (has_answer) reply = drop.answered(std::move(*reply));
  const Status ended = co_await end_builds(command, drop.gone());
  if (!ended) reply = tl::unexpected(ended.error());
  writing_ = false;
  context_.facts.forget(command.ns);
  Seen after;
  if (reply) after = co_await look(command.ns, false);
  if (!reply || after.refused) {
    std::string what = "a change of the catalogue";
    co_await settle_parts_in_doubt(context_, backend_, parts, std::move(what));
    co_return Answer::close();
  }
  const bool is_done_there = has_answer && is_done(*reply);
  // Not before: what becomes of a command in doubt is told by what mongod shows.
  if (is_done_there && drops_all_indexes(command.parsed)) kept.dropped(command.ns);
  std::vector<PathChange> changes;
  if (before.entry && after.entry) {
    for (const std::string& name : drop.gone()) {
      before.entry->indexes.try_emplace(name);
      kept.dropped(command.ns, name);
    }
    note_dropped(*before.entry, *after.entry);
    changes = changes_of(command, std::move(*before.entry), std::move(*after.entry), is_done_there);
  } else if (is_done_there) {
    warn_of_other(command);
  }
  const bool is_done = !changes.empty();
  DocumentChange recorded = catalog_change(command.ns, std::move(changes));
  bool stands = co_await settle(parts, std::move(recorded));
  if (stands && (is_done || is_done_there)) stands = co_await is_durable();
  if (!stands) co_return Answer::close();
  co_return Answer::message(std::move(*reply));
}

// Nobody waits for mongod's work but who has asked for it.
net::Task<Answer> CatalogWrite::build(const Command& command) {
  const std::vector<std::string> relaxed = context_.replica.parts().kept.shown().in(command.ns);
  std::optional<std::string> conflict = index_conflict(command.parsed, relaxed);
  if (conflict) co_return Answer::body(std::move(*conflict));
  std::optional<std::string> words = as_relaxed(command.parsed, relaxed);
  Result<std::string> reply = co_await send_as(command, std::move(words));
  if (!reply) co_return Answer::close();
  const bool has_answer = !command.parsed.more_to_come();
  if (has_answer && !is_done(*reply)) co_return Answer::message(std::move(*reply));
  LockRequest request;
  add_catalog_locks(request, command.ns, LockMode::kShared);
  HeldLocks locks = co_await wait_for_locks(context_, request);
  const Status noted = co_await note_made_otherwise(command);
  if (!noted) co_return Answer::close();
  Seen after = co_await look(command.ns, false);
  if (after.refused) co_return Answer::close();
  if (!after.entry) {
    warn_of_other(command);
    co_return Answer::message(std::move(*reply));
  }
  CatalogEntry before = *after.entry;
  for (const std::string& name : indexes_asked_for(command.parsed)) before.indexes.erase(name);
  if (has_answer && made_collection(*reply)) {
    before.exists = false;
    before.options.clear();
  }
  std::vector<PathChange> changes = changes_of(command, before, *after.entry, true);
  Seen nothing;
  nothing.entry = std::move(before);
  Result<CatalogParts> begun = co_await begin(command, nothing);
  if (!begun) {
    context_.log->error("{} on {} is done and not recorded: {}", command.parsed.command_name(),
                        command.ns, begun.error().message());
    co_return Answer::close();
  }
  DocumentChange recorded = catalog_change(command.ns, std::move(changes));
  bool stands = co_await settle(*begun, std::move(recorded));
  if (stands) stands = co_await is_durable();
  if (!stands) co_return Answer::close();
  co_return Answer::message(std::move(*reply));
}

void CatalogWrite::warn_of_other(const Command& command) const {
  context_.log->warn("{} on {} runs at this site only: what has this name does not replicate",
                     command.parsed.command_name(), command.ns);
}

// A collection that was dropped may be there again, by somebody who writes around the sidecar.
std::vector<PathChange> CatalogWrite::changes_of(const Command& command, CatalogEntry before,
                                                 const CatalogEntry& after, bool is_ok) const {
  if (command.how == How::kDrop) {
    const bool is_dropped = before.exists && (is_ok || !after.exists);
    return is_dropped ? catalog_drop(before) : std::vector<PathChange>();
  }
  if (command.how == How::kIndexes && is_ok) {
    // One that was being built is given up: it was there to be dropped all the same.
    for (const std::string& name : before.building) {
      if (!after.building.contains(name)) before.indexes.try_emplace(name);
    }
  }
  return told_changes(context_.replica, std::move(before), after);
}

net::Task<CatalogWrite::Seen> CatalogWrite::look(const std::string& ns, bool with_ids) {
  std::function<Result<Seen>(Store&)> job = [ns, with_ids](Store& store) -> Result<Seen> {
    Seen seen;
    const bson::OwnedValue id = bson::make_string(ns);
    auto read = store.read(std::string(kCatalogNs), std::span(&id, 1));
    if (!read) return tl::unexpected(read.error());
    if (!read->front()) return seen;
    auto entry = catalog_entry(Document(*read->front()));
    if (!entry) return tl::unexpected(entry.error());
    seen.entry = std::move(*entry);
    const bool has_documents = seen.entry->exists && !seen.entry->is_view();
    if (!with_ids || !has_documents || seen.entry->is_series()) return seen;
    auto run = run_of(store);
    if (!run) return tl::unexpected(run.error());
    const size_t dot = ns.find('.');
    const bool is_clustered = seen.entry->options.contains("clusteredIndex");
    auto found = store.find(ns.substr(0, dot), find_ids(ns.substr(dot + 1), is_clustered));
    if (!found) return tl::unexpected(found.error());
    if (!found->refusal.empty()) {
      return fail(ErrorCode::kUnavailable, "look at the documents of", ns,
                  bson::to_json(Document(found->refusal), 300));
    }
    for (const std::string& document : found->documents) {
      if (const auto each = Document(document).find("_id")) seen.ids.emplace_back(*each);
    }
    if (!seen.ids.empty()) seen.listed_by = std::move(*run);
    return seen;
  };
  Result<Seen> seen = co_await context_.store.ask(std::move(job));
  Seen out;
  if (!seen) {
    out.refused = Answer::body(wire::overloaded_body(seen.error().message()));
    co_return out;
  }
  out = std::move(*seen);
  if (out.ids.size() > static_cast<size_t>(kDroppedMax)) out.refused = Answer::body(too_many(ns));
  co_return out;
}

net::Task<Result<CatalogParts>> CatalogWrite::begin(const Command& command, const Seen& before) {
  const std::string session = catalog_session(command.parsed, backend_.lsid());
  CatalogParts parts = removals(command.ns, before.ids, session);
  if (parts.empty()) parts.emplace_back().prepare.session = session;
  parts.back().prepare.documents.push_back(
      prepared_entry(command.ns, catalog_document(*before.entry)));
  Result<CatalogParts> begun =
      co_await begin_parts(context_, backend_, std::move(parts), before.listed_by);
  co_return begun;
}

// `words`: instead of the command, a whole message.
net::Task<Result<std::string>> CatalogWrite::send_as(const Command& command,
                                                     std::optional<std::string> words) {
  if (words) {
    const auto parsed = wire::parse_op_msg_trusted(*words);
    OUTRIGGER_ASSERT(parsed.has_value());
    Result<std::string> reply = co_await send(*words, *parsed);
    co_return reply;
  }
  Result<std::string> reply = co_await send(command.message, command.parsed);
  co_return reply;
}

// Those that apps are shown, and mongod does not know of: it is still to make them anew.
IndexDrop CatalogWrite::index_drop(const Command& command, const Seen& before) const {
  std::vector<std::string> away;
  if (!before.entry || command.how != How::kIndexes) return {command.parsed, away, 0};
  const CatalogEntry& entry = *before.entry;
  for (std::string& spec : context_.replica.parts().kept.shown().in(command.ns)) {
    const std::string_view name = index_name_of(Document(spec));
    const bool is_there = entry.indexes.contains(name) || entry.building.contains(name);
    if (!is_there) away.push_back(std::move(spec));
  }
  const size_t of_id = entry.options.contains("clusteredIndex") ? 0 : 1;
  return {command.parsed, away, entry.indexes.size() + entry.building.size() + of_id};
}

// What the store has begun to make of an index before it was dropped. mongod is told until that has
// ended, and once more.
net::Task<Status> CatalogWrite::end_builds(const Command& command,
                                           const std::vector<std::string>& names) {
  const RelaxedIndexes& relaxed = context_.replica.parts().kept.shown();
  net::Timer pause(context_.loop);
  for (const std::string& name : names) {
    bool is_left = relaxed.is_being_built(command.ns, name);
    while (is_left) {
      is_left = relaxed.is_being_built(command.ns, name);
      Writer out;
      out.string("dropIndexes", command.ns.substr(command.ns.find('.') + 1));
      const std::string body =
          out.string("index", name).string("$db", command.parsed.database()).finish();
      std::string drop = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
      const Result<std::string> dropped = co_await backend_.call(std::move(drop));
      if (!dropped) co_return tl::unexpected(dropped.error());
      if (is_left) co_await pause.sleep_ms(kAskAgainMs);
    }
  }
  co_return Status();
}

// One that was just being dropped, or made anew, is what this command has made it. mongod tells of
// each: that others are new says nothing of it.
net::Task<Status> CatalogWrite::note_made_otherwise(const Command& command) {
  KeptNotes& kept = context_.replica.parts().kept;
  const std::vector<std::string> names =
      asked_otherwise(command.parsed, kept.shown().in(command.ns));
  for (const std::string& name : names) {
    const std::optional<std::string> known = kept.shown().find(command.ns, name);
    if (!known) continue;
    using There = std::optional<KeyIndex>;
    std::function<Result<There>(Store&)> job = [ns = command.ns, name](Store& store) {
      return store.key_index(ns, name);
    };
    const Result<There> there = co_await context_.store.ask(std::move(job));
    if (!there) co_return tl::unexpected(there.error());
    if (!*there) continue;
    const bool is_it = (*there)->guard != KeyGuard::kNone &&
                       is_same_index(Document((*there)->spec), Document(*known));
    if (!is_it) kept.dropped(command.ns, name);
  }
  co_return Status();
}

// Indexes that are dropped are not relaxed any more, whatever gets their names.
void CatalogWrite::note_dropped(const CatalogEntry& before, const CatalogEntry& after) {
  KeptNotes& kept = context_.replica.parts().kept;
  for (const std::string& spec : kept.shown().in(before.ns)) {
    const std::string name(index_name_of(Document(spec)));
    const bool was_there = before.indexes.contains(name) || before.building.contains(name);
    const bool is_there = after.indexes.contains(name) || after.building.contains(name);
    if (was_there && !is_there) kept.dropped(before.ns, name);
  }
  kept.look_again();
}

net::Task<Result<std::string>> CatalogWrite::send(std::string_view message,
                                                  const wire::OpMsg& parsed) {
  const std::optional<std::string> ours = under_our_session(parsed, backend_);
  Status sent = co_await backend_.send_one(ours ? std::string_view(*ours) : message);
  if (!sent) co_return tl::unexpected(sent.error());
  if (parsed.more_to_come()) {
    Result<std::string> done = co_await backend_.ping();  // it is done before
    co_return done;
  }
  Result<std::string> reply = co_await backend_.receive();
  co_return reply;
}

// False: what became of it cannot be written down, and is left to recovery.
net::Task<bool> CatalogWrite::settle(CatalogParts& parts, DocumentChange change) {
  if (parts.empty()) co_return true;
  const bool is_done = !change.changes.empty();
  if (is_done) parts.back().changes.push_back(std::move(change));
  const Status done = co_await settle_parts(context_, parts, is_done);
  if (done) backend_.note.set_in_doubt(false);
  if (!done) {
    context_.log->error("a change of the catalogue is not recorded: {}", done.error().message());
  }
  co_return done.has_value();
}

net::Task<bool> CatalogWrite::is_durable() {
  const DurableWaits::Shot durable = context_.durable_waits.join(true);
  const Status synced = co_await durable->wait();
  if (!synced) {
    context_.log->error("a change of the catalogue is not acknowledged: {}",
                        synced.error().message());
    co_return false;
  }
  const bool journaled = co_await is_journaled(context_, backend_);
  co_return journaled;
}

}  // namespace outrigger
