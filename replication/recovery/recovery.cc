#include "replication/recovery/recovery.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "replication/record/catalog.h"
#include "replication/renames/rename.h"
#include "replication/renames/under_way.h"
#include "replication/site/site_parts.h"
#include "replication/site/state/meta_keys.h"
#include "replication/store/session_token.h"

namespace outrigger {
namespace {

void add_session(const Prepare& prepare, std::set<std::string>& sessions) {
  std::string id = session_id(prepare.session);
  if (!id.empty()) sessions.insert(std::move(id));
}

// Of connections and of transactions: a name, "/", the session, and of connections the address.
Result<std::vector<std::string>> noted_keys(const outbox::Outbox& outbox) {
  std::vector<std::string> keys;
  for (const char* prefix : {meta_keys::kBackend, meta_keys::kTransaction}) {
    auto noted = outbox.scan_meta(prefix);
    if (!noted) return tl::unexpected(noted.error());
    for (const auto& [key, value] : *noted) keys.push_back(key);
  }
  return keys;
}

ApplierOptions options_of_redo(const RecoveryOptions& options) {
  ApplierOptions out;
  out.warn = options.warn;
  return out;
}

}  // namespace

Recovery::Recovery(Replica& replica, outbox::Outbox& outbox, outbox::CommitThread& commit,
                   Store& store, RecoveryOptions options)
    : replica_(replica),
      site_(replica.parts()),
      outbox_(outbox),
      commit_(commit),
      store_(store),
      options_(std::move(options)),
      redo_(site_, outbox, commit, served_, options_of_redo(options_), options_.is_stopping),
      oplog_(site_, outbox, [this](const std::string& text) { warn(text); }) {}

void Recovery::warn(const std::string& text) const {
  if (options_.warn) options_.warn(text);
}

Result<std::vector<Prepare>> Recovery::open_prepares() const {
  auto scanned = outbox_.scan_prepares();
  if (!scanned) return tl::unexpected(scanned.error());
  std::vector<Prepare> prepares;
  for (const auto& [hlc, bytes] : *scanned) {
    auto prepare = decode_prepare(bytes);
    if (!prepare) return tl::unexpected(prepare.error());
    prepares.push_back(std::move(*prepare));
  }
  return prepares;
}

Status Recovery::fence(const std::vector<Prepare>& prepares) {
  auto noted = noted_keys(outbox_);
  if (!noted) return tl::unexpected(noted.error());
  std::set<std::string> sessions;
  std::set<std::string> clients;
  for (const std::string& key : *noted) {
    const std::string_view rest = std::string_view(key).substr(key.find('/') + 1);
    if (rest.size() < kSessionIdBytes) continue;
    sessions.emplace(rest.substr(0, kSessionIdBytes));
    if (rest.size() > kSessionIdBytes) clients.emplace(rest.substr(kSessionIdBytes));
  }
  for (const Prepare& prepare : prepares) add_session(prepare, sessions);
  if (sessions.empty() && clients.empty()) return {};
  const std::vector<std::string> session_list(sessions.begin(), sessions.end());
  const std::vector<std::string> client_list(clients.begin(), clients.end());
  return store_.fence(session_list, client_list, options_.fence_timeout);
}

Result<Prepare> Recovery::without_recorded(const Prepare& prepare) const {
  const std::vector<std::string> keys = retry_keys(prepare);
  if (keys.empty()) return prepare;
  Prepare left = prepare;
  left.documents.clear();
  std::vector<size_t> statements;
  for (size_t i = 0; i < keys.size(); ++i) {
    auto entry = outbox_.retry(keys[i]);
    if (!entry) return tl::unexpected(entry.error());
    if (*entry) continue;
    left.documents.push_back(prepare.documents[i]);
    statements.push_back(i);
  }
  left.session = token_of(prepare.session, statements);
  return left;
}

Result<std::vector<RetryEntry>> Recovery::retries_of(const Prepare& prepare,
                                                     const SettledPrepare& settled) const {
  const std::string session = session_id(prepare.session);
  if (settled.retries.empty() || session.empty()) return settled.retries;
  auto ours = outbox_.scan_meta(meta_keys::kBackend + session);
  if (!ours) return tl::unexpected(ours.error());
  return ours->empty() ? settled.retries : std::vector<RetryEntry>();
}

Status Recovery::forget_backends() {
  auto noted = noted_keys(outbox_);
  if (!noted) return tl::unexpected(noted.error());
  outbox::Batch batch;
  for (const std::string& key : *noted) batch.remove_meta(key);
  return batch.empty() ? Status() : outbox_.write(std::move(batch));
}

// The epochs of earlier runs are known to their end now. What this run will cite and report of them
// must outlive it, power cuts included.
Status Recovery::close_epochs() {
  const Origin& self = site_.context.self;
  outbox::Batch batch;
  const VersionVector applied = site_.state.applied();
  for (const auto& [origin, hlc] : applied.entries()) {
    if (origin.site != self.site || origin == self) continue;
    batch.put_meta(meta_keys::of_origin(meta_keys::kVector, origin), outbox::sortable(hlc));
  }
  if (!batch.empty()) {
    if (Status written = outbox_.write(std::move(batch)); !written) return written;
  }
  return sync_now(commit_);
}

// The documents of a write in doubt, and those that hold what these are to have under a unique
// index. Others whose own write is in doubt are left to that, unless they are in each other's way.
Status Recovery::put_back_for(const Prepare& prepare, Store& store) {
  auto prepares = open_prepares();
  if (!prepares) return tl::unexpected(prepares.error());
  UnderWay under_way;
  const std::set<std::string> own = row_keys_of(prepare);
  for (const Prepare& each : *prepares) {
    if (each.hlc == prepare.hlc) continue;
    if (Status added = under_way.add(each); !added) return added;
  }
  const auto is_free = [&](const std::string& key) { return !under_way.has(key); };
  if (Status put = redo_.put_back(store, is_free, {}); !put) return put;
  const auto waits = [&] { return redo_.is_any_due(own); };
  if (!waits()) return {};
  const auto any = [&](const std::string& key) { return !under_way.is_renamed(key); };
  if (Status put = redo_.put_back(store, any, {.all = true}); !put) return put;
  OUTRIGGER_ASSERT(!waits());
  return {};
}

// What the store would not take back is not gone: its row holds it.
void Recovery::keep_set_aside(SettledPrepare& settled) const {
  std::erase_if(settled.changes, [&](const DocumentChange& change) {
    const std::string key = outbox::row_key(change.ns, bson::canonical_key(change.id.view()));
    return change.kind == DocumentChange::Kind::kRemove && site_.aside.find(key);
  });
}

// A collection that documents have made since it was dropped is not known to others as one that is
// wanted: it is told in full with the next change, as where that is not in doubt.
Status Recovery::tell_in_full(SettledPrepare& settled, StoreReader& store) const {
  for (DocumentChange& change : settled.changes) {
    if (change.ns != kCatalogNs) continue;
    if (!replica_.is_dropped(change.id.view().as_string())) continue;
    auto shown = store.read(change.ns, std::span(&change.id, 1));
    if (!shown) return tl::unexpected(shown.error());
    if (!shown->front()) continue;
    const auto entry = catalog_entry(bson::Document(*shown->front()));
    if (!entry) return tl::unexpected(entry.error());
    if (entry->exists) change = catalog_change(entry->ns, catalog_definition(*entry));
  }
  return {};
}

// Whoever sends such a statement again is answered by the store, which must not forget that it ran.
Status Recovery::hold(const SettledPrepare& settled, Store& store) const {
  return settled.retries.empty() ? Status() : store.wait_journaled();
}

Result<bool> Recovery::settle_earlier(const Prepare& prepare, const std::vector<OplogWrite>* oplog,
                                      bool put_back, RecoveryReport& report) {
  if (is_rename(prepare)) return settle_earlier_rename(prepare, report);
  auto left = without_recorded(prepare);
  if (!left) return tl::unexpected(left.error());
  auto settled = judge_with_evictions(store_, *left, oplog, put_back);
  if (!settled) return tl::unexpected(settled.error());
  if (put_back) keep_set_aside(*settled);
  if (redo_.is_due() && !put_back && !settled->certain) return false;
  if (Status told = tell_in_full(*settled, store_); !told) return tl::unexpected(told.error());
  if (Status held = hold(*settled, store_); !held) return tl::unexpected(held.error());
  if (Status same = redo_.still(store_); !same) return tl::unexpected(same.error());
  auto retries = retries_of(prepare, *settled);
  if (!retries) return tl::unexpected(retries.error());
  if (Status written = site_.writes.settle_earlier(prepare, settled->changes, *retries); !written) {
    return tl::unexpected(written.error());
  }
  switch (settled->how) {
    case SettledPrepare::How::kHappened:
      ++report.happened;
      break;
    case SettledPrepare::How::kAdopted:
      ++report.adopted;
      break;
    case SettledPrepare::How::kDropped:
      ++report.dropped;
      break;
  }
  return true;
}

// Certain: a store that has forgotten it has not done it.
Result<bool> Recovery::settle_earlier_rename(const Prepare& prepare, RecoveryReport& report) {
  auto happened = told_rename(prepare, store_);
  if (!happened) return happened;
  ++(*happened ? report.happened : report.dropped);
  const Status over = site_.writes.settle_earlier(prepare, {}, {});
  return over ? Result<bool>(true) : tl::unexpected(over.error());
}

// False: it has not happened.
Result<bool> Recovery::told_rename(const Prepare& prepare, Store& store) {
  if (Status same = redo_.still(store); !same) return tl::unexpected(same.error());
  auto happened = settle_rename(site_, store, prepare);
  if (Status same = redo_.still(store); !same) return tl::unexpected(same.error());
  return happened;
}

Result<RecoveryReport> Recovery::run(Applier& applier) {
  RecoveryReport report;
  auto prepares = open_prepares();
  if (!prepares) return tl::unexpected(prepares.error());
  if (Status fenced = fence(*prepares); !fenced) return tl::unexpected(fenced.error());
  if (Status looked = redo_.look(store_); !looked) return tl::unexpected(looked.error());
  std::set<std::string> sessions;
  for (const Prepare& prepare : *prepares) add_session(prepare, sessions);
  auto entries = oplog_.read(store_, std::vector<std::string>(sessions.begin(), sessions.end()));
  if (!entries) return tl::unexpected(entries.error());
  const std::vector<OplogWrite>* known = *entries ? &**entries : nullptr;
  std::vector<const Prepare*> uncertain;
  for (const Prepare& prepare : *prepares) {  // in stamp order
    auto settled = settle_earlier(prepare, known, false, report);
    if (!settled) return tl::unexpected(settled.error());
    if (!*settled) uncertain.push_back(&prepare);
  }
  const bool was_due = redo_.is_due();
  if (was_due) {
    const auto any = [](const std::string&) { return true; };
    const Status put = redo_.put_back(store_, any, {.all = true, .may_stop = true});
    if (!put) return tl::unexpected(put.error());
  }
  if (Status replayed = applier.replay_interrupted(); !replayed) {
    return tl::unexpected(replayed.error());
  }
  for (const Prepare* prepare : uncertain) {
    auto settled = settle_earlier(*prepare, known, true, report);
    if (!settled) return tl::unexpected(settled.error());
  }
  if (was_due) {
    if (Status finished = finish_redo(); !finished) return tl::unexpected(finished.error());
  }
  if (Status noted = oplog_.begin_now(store_); !noted) return tl::unexpected(noted.error());
  if (Status forgotten = forget_backends(); !forgotten) return tl::unexpected(forgotten.error());
  if (Status closed = close_epochs(); !closed) return tl::unexpected(closed.error());
  replica_.open_for_writes();
  site_.wakers.wake_for_progress();
  return report;
}

Status Recovery::finish_redo() {
  if (Status finished = redo_.finish(); !finished) return finished;
  warn("the store was started anew: " + std::to_string(redo_.documents_put_back()) +
       " documents were put back that it had forgotten");
  return {};
}

Result<bool> Recovery::put_back_step(Store& store, bool is_cut_off) {
  if (Status looked = redo_.look(store); !looked) return tl::unexpected(looked.error());
  if (!redo_.is_due()) return true;
  if (!is_cut_off) return false;
  served_.suspend();
  auto prepares = open_prepares();
  if (!prepares) return tl::unexpected(prepares.error());
  UnderWay under_way;
  for (const Prepare& prepare : *prepares) {
    if (Status added = under_way.add(prepare); !added) return tl::unexpected(added.error());
  }
  const auto is_free = [&](const std::string& key) { return !under_way.has(key); };
  if (Status put = redo_.put_back(store, is_free, {.may_stop = true}); !put) {
    return tl::unexpected(put.error());
  }
  if (redo_.has_documents()) return false;
  if (Status noted = oplog_.meet(store); !noted) return tl::unexpected(noted.error());
  if (Status finished = finish_redo(); !finished) return tl::unexpected(finished.error());
  return true;
}

Result<Prepare> Recovery::open_prepare(const LocalWrite& write) const {
  auto prepares = open_prepares();
  if (!prepares) return tl::unexpected(prepares.error());
  const auto found =
      std::find_if(prepares->begin(), prepares->end(),
                   [&](const Prepare& candidate) { return candidate.hlc == write.hlc; });
  if (found == prepares->end()) {
    return fail(ErrorCode::kNotFound, "settle a write in doubt", "", "it has no prepare");
  }
  return std::move(*found);
}

Result<SettledPrepare> Recovery::judge(const Prepare& prepare, Store& store,
                                       const std::vector<std::string>& session_ids) {
  if (Status looked = redo_.look(store); !looked) return tl::unexpected(looked.error());
  auto entries = oplog_.read(store, session_ids);
  if (!entries) return tl::unexpected(entries.error());
  const std::vector<OplogWrite>* known = *entries ? &**entries : nullptr;
  auto left = without_recorded(prepare);
  if (!left) return tl::unexpected(left.error());
  auto settled = judge_with_evictions(store, *left, known, false);
  if (settled && redo_.is_due() && !settled->certain) {
    if (Status put = put_back_for(prepare, store); !put) return tl::unexpected(put.error());
    settled = judge_with_evictions(store, *left, known, true);
    if (settled) keep_set_aside(*settled);
  }
  if (!settled) return settled;
  if (Status told = tell_in_full(*settled, store); !told) return tl::unexpected(told.error());
  if (Status held = hold(*settled, store); !held) return tl::unexpected(held.error());
  if (Status same = redo_.still(store); !same) return tl::unexpected(same.error());
  auto retries = retries_of(prepare, *settled);
  if (!retries) return tl::unexpected(retries.error());
  settled->retries = std::move(*retries);
  return settled;
}

Result<SettledPrepare> Recovery::look_at(const LocalWrite& write,
                                         const std::vector<size_t>& documents, Store& store) {
  auto prepare = open_prepare(write);
  if (!prepare) return tl::unexpected(prepare.error());
  Prepare asked = *prepare;
  asked.documents.clear();
  asked.session = token_of(prepare->session, documents);
  for (const size_t at : documents) {
    if (at >= prepare->documents.size()) {
      return fail(ErrorCode::kCorrupt, "look at a write in doubt", "",
                  "its prepare holds fewer documents than it began with");
    }
    asked.documents.push_back(prepare->documents[at]);
  }
  std::set<std::string> sessions;
  add_session(asked, sessions);
  return judge(asked, store, {sessions.begin(), sessions.end()});
}

Result<SettledPrepare::How> Recovery::settle_in_doubt(UndecidedWrite& write,
                                                      const std::string& session_id,
                                                      const std::string& local_address,
                                                      Store& store) {
  auto prepare = open_prepare(write.name());
  if (!prepare) return tl::unexpected(prepare.error());
  std::set<std::string> sessions{session_id};
  add_session(*prepare, sessions);
  sessions.erase("");
  const std::vector<std::string> session_list(sessions.begin(), sessions.end());
  std::vector<std::string> clients;
  if (!local_address.empty()) clients.push_back(local_address);
  if (Status fenced = store.fence(session_list, clients, options_.fence_timeout); !fenced) {
    return tl::unexpected(fenced.error());
  }
  if (is_rename(*prepare)) {
    if (Status looked = redo_.look(store); !looked) return tl::unexpected(looked.error());
    auto happened = told_rename(*prepare, store);
    if (!happened) return tl::unexpected(happened.error());
    if (Status over = replica_.drop(write); !over) return tl::unexpected(over.error());
    return *happened ? SettledPrepare::How::kHappened : SettledPrepare::How::kDropped;
  }
  auto settled = judge(*prepare, store, session_list);
  if (!settled) return tl::unexpected(settled.error());
  const Status done = settled->changes.empty()
                          ? replica_.drop(write)
                          : replica_.settle(write, settled->changes, settled->retries);
  if (!done) return tl::unexpected(done.error());
  return settled->how;
}

}  // namespace outrigger
