#include "replication/site/replica.h"

#include "replication/merge/merge.h"
#include "replication/outbox/lost_element.h"
#include "replication/outbox/path_life.h"
#include "replication/record/catalog.h"
#include "replication/site/site_parts.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {

Replica::Replica(std::shared_ptr<SiteParts> parts) : parts_(std::move(parts)) {}

Replica::~Replica() { parts_->wakers.no_more_progress(); }

Result<std::unique_ptr<Replica>> Replica::open(ReplicaOptions options, outbox::Outbox& outbox,
                                               outbox::CommitThread& commit, const Clock& clock,
                                               Random& random) {
  auto parts = SiteParts::open(std::move(options), outbox, commit, clock, random);
  if (!parts) return tl::unexpected(parts.error());
  return std::unique_ptr<Replica>(new Replica(std::move(*parts)));
}

// ---- local writes

Status Replica::admit() const { return parts_->writes.admit(); }

Unsynced Replica::unsynced(std::string_view ns, std::string_view canonical_id) const {
  return parts_->writes.unsynced(ns, canonical_id);
}

Result<UndecidedWrite> Replica::begin(Prepare prepare, StagedWrites& staged) {
  return parts_->writes.begin(std::move(prepare), staged);
}

Status Replica::settle(UndecidedWrite& write, std::vector<DocumentChange> changes,
                       const std::vector<RetryEntry>& retries, StagedWrites& staged) {
  return parts_->writes.settle(write, std::move(changes), retries, staged);
}

void Replica::drop(UndecidedWrite& write, const std::vector<RetryEntry>& retries,
                   StagedWrites& staged) {
  parts_->writes.drop(write, retries, staged);
}

Status Replica::write(StagedWrites&& staged) { return parts_->writes.write(std::move(staged)); }

Result<UndecidedWrite> Replica::begin(Prepare prepare) {
  StagedWrites staged;
  auto begun = begin(std::move(prepare), staged);
  if (!begun) return begun;
  const Status written = write(std::move(staged));
  if (written) return begun;
  begun->leave_to_recovery();
  return tl::unexpected(written.error());
}

Status Replica::settle(UndecidedWrite& write_, std::vector<DocumentChange> changes,
                       const std::vector<RetryEntry>& retries) {
  StagedWrites staged;
  Status settled = settle(write_, std::move(changes), retries, staged);
  if (!settled) return settled;
  return write(std::move(staged));
}

Status Replica::drop(UndecidedWrite& write_, const std::vector<RetryEntry>& retries) {
  StagedWrites staged;
  drop(write_, retries, staged);
  return write(std::move(staged));
}

void Replica::when_durable(std::function<void(const Status&)> done,
                           std::chrono::microseconds needed_in) {
  parts_->context.commit.when_durable(std::move(done), needed_in);
}

Result<std::optional<std::string>> Replica::retry(const std::string& key) const {
  auto bytes = parts_->context.outbox.retry(key);
  if (!bytes || !*bytes) return bytes;
  return retry_answer(**bytes);
}

RowKnowledge Replica::row_knowledge(std::string_view ns, std::string_view canonical_id,
                                    std::span<const Path* const> increments,
                                    std::span<const Path* const> pushes) const {
  RowKnowledge knowledge;
  knowledge.base_is_known.resize(increments.size());
  knowledge.array_is_known.resize(pushes.size(), true);
  auto row = parts_->context.outbox.row(ns, canonical_id);
  if (!row || !*row) return knowledge;
  const auto state = merge::load_row(**row);
  if (!state) return knowledge;  // said when the write is settled
  knowledge.opaque = state->opaque;
  knowledge.set_aside = state->detached;
  for (size_t i = 0; i < increments.size(); ++i) {
    knowledge.base_is_known[i] = merge::base_known(*state, *increments[i]);
  }
  for (size_t i = 0; i < pushes.size(); ++i) {
    knowledge.array_is_known[i] = merge::missing_is_empty(*state, *pushes[i]);
  }
  return knowledge;
}

bool Replica::is_dropped(std::string_view ns) const {
  const bson::OwnedValue name = bson::make_string(std::string(ns));
  auto row = parts_->context.outbox.row(kCatalogNs, bson::canonical_key(name.view()));
  if (!row || !*row) return false;
  const auto state = merge::load_row(**row);
  if (!state || state->incarnations.empty()) return false;
  const auto& registers = state->incarnations.back().body.registers;
  const auto found = registers.find(Path{"options"});
  return found != registers.end() && found->second.content == merge::Content::kAbsent;
}

Result<outbox::BackendNote> Replica::note_backend(const std::string& session_id,
                                                  const std::string& local_address) {
  return outbox::BackendNote::write(parts_->context.outbox,
                                    meta_keys::kBackend + session_id + local_address);
}

Result<outbox::BackendNote> Replica::note_transaction(const std::string& session_id) {
  return outbox::BackendNote::write(parts_->context.outbox, meta_keys::kTransaction + session_id);
}

// ---- exchange with peers

SiteHello Replica::hello() const { return parts_->exchange.hello(); }

Report Replica::report() { return std::move(parts_->state.reports().front()); }

std::vector<Report> Replica::reports() { return parts_->state.reports(); }

Result<OutgoingBatch> Replica::read_batch(const VersionVector& has, size_t bytes_max,
                                          const VersionVector& told, bool relay) const {
  return parts_->exchange.read_batch(has, bytes_max, told, relay);
}

Status Replica::offer(std::vector<Segment> segments, const Origin& from) {
  return parts_->exchange.offer(std::move(segments), from);
}

void Replica::hear(const Report& report, const Origin& from) {
  parts_->exchange.hear(report, from);
}

void Replica::introduce(const SiteHello& peer) { parts_->exchange.introduce(peer); }

void Replica::parted(const SiteHello& peer) { parts_->exchange.parted(peer); }

std::vector<MemberId> Replica::members() const { return parts_->members.list(); }

void Replica::hear_members(const std::vector<MemberId>& members) { parts_->members.hear(members); }

void Replica::on_progress(std::function<void()> wake) {
  parts_->wakers.on_progress(std::move(wake));
}

VersionVector Replica::answered() const { return parts_->state.answered(); }
VersionVector Replica::journaled() const { return parts_->state.journaled(); }
void Replica::journaled(const VersionVector& answered) { parts_->state.journaled(answered); }
VersionVector Replica::applied() const { return parts_->state.applied(); }

// ---- operations

ReplicaStatus Replica::status() const {
  const SiteContext& context = parts_->context;
  const outbox::Usage usage = context.outbox.usage();
  ReplicaStatus status;
  status.site = context.options.site;
  status.site_id = to_hex(context.self.site);
  status.epoch = context.self.epoch;
  status.outbox_failure = context.outbox.failure();
  status.outbox_records = usage.entries;
  status.outbox_bytes = usage.entries_bytes;
  status.ledger_entries = usage.ledger;
  status.ledger_bytes = usage.ledger_bytes;
  // What is applied first: what became of it is known by then, and shown with it.
  parts_->exchange.describe(status);
  parts_->ledger.describe(status);
  status.collected_rows = parts_->collection.collected_rows();
  status.not_applied = parts_->aside.size();
  status.kept = parts_->kept.size();
  status.quarantined = parts_->quarantine.size();
  // What is parked says by itself that it is open.
  status.ledger_open = usage.ledger_open + parts_->aside.unparked() + status.quarantined;
  const std::vector<std::string> held = parts_->alarms.held();
  status.held.insert(status.held.begin(), held.begin(), held.end());
  status.alarms = parts_->alarms.texts();
  const Dot rules = parts_->rules.describe(status.rules);
  if (!rules.is_zero()) status.rules.by = parts_->members.name_of(rules.origin.site);
  return status;
}

std::function<std::string(const SiteId&)> Replica::site_names() const {
  return [parts = parts_](const SiteId& site) { return parts->members.name_of(site); };
}

Result<LedgerPage> Replica::conflicts(size_t limit, const LedgerPlace& from) const {
  return parts_->ledger.page(limit, from);
}

Result<LedgerEntry> Replica::conflict(const std::string& name) const {
  return parts_->ledger.find(name);
}

Result<ElementNow> Replica::element_now(const LedgerEntry& entry, std::string_view key,
                                        const bson::Document& document) const {
  auto row = parts_->context.outbox.row(entry.ns, bson::canonical_key(entry.id.view()));
  if (!row) return tl::unexpected(row.error());
  const auto state = merge::load_row(row->value_or(std::string()));
  if (!state) return tl::unexpected(state.error());
  return outrigger::element_now(entry, *state, key, document);
}

Result<PathLife> Replica::explain(const PathQuestion& question) const {
  return path_life(parts_->context.outbox, question);
}

Status Replica::mark_conflict(const std::string& key, LedgerMark mark,
                              const std::optional<Replaced>& replaced) {
  const MutexLock deciding(parts_->news.deciding());
  auto bytes = parts_->context.outbox.ledger(key);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return {};
  auto entry = decode_ledger(**bytes);
  if (!entry) return tl::unexpected(entry.error());
  if (!is_shared(*entry)) return parts_->ledger.mark(key, mark, replaced);
  if (Status room = parts_->writes.admit(); !room) return room;
  auto begun = parts_->writes.begin_record();
  if (!begun) return tl::unexpected(begun.error());
  entry->mark = mark;
  if (replaced) entry->replaced = replaced;
  Record record = begun->record();
  outbox::Batch batch;
  if (Status told = parts_->news.tell_decision(record, batch, *entry); !told) return told;
  if (Status committed = begun->commit(record, std::move(batch)); !committed) return committed;
  parts_->ledger.count_mark(*entry);
  return {};
}

Result<std::vector<LedgerEntry>> Replica::quarantined(size_t limit) const {
  return parts_->quarantine.list(limit);
}

Status Replica::retry_quarantined(const std::string& name) {
  return parts_->quarantine.retry(name);
}

void Replica::open_for_writes() { parts_->state.open_for_writes(); }

void Replica::attach(LockTable& locks) { parts_->collection.attach(locks); }

// Our file was changed: the others are told.
static Status tell_rules(SiteParts& parts) {
  if (!parts.rules.is_due() || !parts.writes.admit()) return {};
  auto begun = parts.writes.begin_record();
  if (!begun) return tl::unexpected(begun.error());
  Record record = begun->record();
  outbox::Batch batch;
  parts.rules.tell(record, batch);
  if (Status committed = begun->commit(record, std::move(batch)); !committed) return committed;
  parts.rules.told(record);
  return {};
}

// What of the ledger the others lack.
static Status tell_owed(SiteParts& parts) {
  if (!parts.news.owes() || !parts.writes.admit()) return {};
  auto begun = parts.writes.begin_record();
  if (!begun) return tl::unexpected(begun.error());
  Record record = begun->record();
  outbox::Batch batch;
  auto keys = parts.news.tell_owed(record, batch);
  if (!keys) return tl::unexpected(keys.error());
  if (Status committed = begun->commit(record, std::move(batch)); !committed) return committed;
  parts.news.told(*keys);
  return {};
}

Status Replica::collect_step(size_t documents_max) {
  if (Status told = tell_rules(*parts_); !told) return told;
  if (Status told = tell_owed(*parts_); !told) return told;
  return parts_->collection.step(documents_max);
}

}  // namespace outrigger
