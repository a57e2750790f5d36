#include "proxy/writes/catalog_parts.h"

#include <utility>

#include "config/limits.h"
#include "proxy/writes/run_settler.h"

namespace outrigger {

CatalogParts removals(const std::string& ns, std::span<const bson::OwnedValue> ids,
                      const std::string& session) {
  CatalogParts parts;
  for (const bson::OwnedValue& id : ids) {
    if (parts.empty() || parts.back().changes.size() == limits::kRunStatementsMax) {
      parts.emplace_back().prepare.session = session;
    }
    PreparedDocument& document = parts.back().prepare.documents.emplace_back();
    document.ns = ns;
    document.id = id;
    document.what = PreparedDocument::What::kRemove;
    DocumentChange& change = parts.back().changes.emplace_back();
    change.kind = DocumentChange::Kind::kRemove;
    change.ns = ns;
    change.id = id;
  }
  return parts;
}

net::Task<Result<CatalogParts>> begin_parts(ProxyContext& context, Backend& backend,
                                            CatalogParts parts, std::string listed_by) {
  if (!listed_by.empty()) {
    std::function<Result<std::string>(Store&)> job = settled_run;
    const Result<std::string> run = co_await context.store.ask(std::move(job));
    if (!run) co_return tl::unexpected(run.error());
    if (*run != listed_by) {
      co_return fail(ErrorCode::kUnavailable, "begin a change of the catalogue", "",
                     "another run of the store answers", "try it again");
    }
  }
  const Status noted = note_backend(context, backend);
  if (!noted) co_return tl::unexpected(noted.error());
  Status begun;
  Status written;
  for (CatalogPart& part : parts) {  // one append each: others use the loop, and the log, between
    part.prepare.app = backend.app;
    Result<UndecidedWrite> write =
        context.replica.begin(std::move(part.prepare), context.appends.staged());
    if (!write) begun = tl::unexpected(write.error());
    if (!write) break;
    part.write = std::move(*write);
    TurnAppends::Appended appended = context.appends.appended();
    written = co_await appended;
    if (!written) break;
  }
  if (!begun && written) {
    for (CatalogPart& part : parts) {
      if (part.write.name().hlc == 0) continue;
      context.replica.drop(part.write, {}, context.appends.staged());
      TurnAppends::Appended appended = context.appends.appended();
      written = co_await appended;
      if (!written) break;
    }
  }
  if (written && begun) {
    const DurableWaits::Shot durable = context.durable_waits.join(true);
    written = co_await durable->wait();
  }
  if (!written) {
    for (CatalogPart& part : parts) part.write.leave_to_recovery();
    co_return tl::unexpected(written.error());
  }
  if (!begun) co_return tl::unexpected(begun.error());
  backend.note.set_in_doubt(true);
  co_return parts;
}

net::Task<Status> settle_parts(ProxyContext& context, CatalogParts& parts, bool is_done) {
  Status done;
  for (CatalogPart& part : parts) {  // as they are begun
    StagedWrites& staged = context.appends.staged();
    Status settled;
    if (is_done) {
      settled = context.replica.settle(part.write, std::move(part.changes), {}, staged);
    } else {
      context.replica.drop(part.write, {}, staged);
    }
    if (!settled) part.write.leave_to_recovery();
    TurnAppends::Appended appended = context.appends.appended();
    const Status written = co_await appended;
    if (!settled) done = settled;
    if (!written) done = written;
  }
  co_return done;
}

net::Task<void> settle_parts_in_doubt(ProxyContext& context, Backend& backend, CatalogParts& parts,
                                      std::string what) {
  if (parts.empty()) co_return;
  std::vector<UndecidedWrite*> writes;
  for (CatalogPart& part : parts) writes.push_back(&part.write);
  std::string lsid = backend.lsid_text();
  co_await settle_in_doubt(context, backend, std::move(writes), std::move(lsid), std::move(what));
}

std::vector<PathChange> told_changes(const Replica& replica, CatalogEntry before,
                                     const CatalogEntry& after) {
  std::vector<PathChange> changes = catalog_changes(before, after);
  if (changes.empty() || !after.exists || !replica.is_dropped(after.ns)) return changes;
  before.exists = false;
  before.options.clear();
  return catalog_changes(before, after);
}

void add_catalog_locks(LockRequest& request, const std::string& ns, LockMode mode) {
  request.add(namespace_lock_key(ns), mode);
  request.add(namespace_lock_key(kCatalogNs), LockMode::kShared);
  const bson::OwnedValue id = bson::make_string(ns);
  request.add(document_lock_key(kCatalogNs, id.view()), LockMode::kExclusive);
}

}  // namespace outrigger
