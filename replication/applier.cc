#include "replication/applier.h"

#include <algorithm>

#include "replication/record_codec.h"
#include "replication/replica_impl.h"

namespace outrigger {

struct Applier::Work {
  std::vector<std::shared_ptr<const Record>> records;
  ApplyIntent intent;
  std::map<std::string, ApplyDocument> documents;  // by row key
  std::vector<StoreWrite> writes;                  // what is left of (2)
  std::vector<size_t> intended;                    // for each of `writes`: its place in intent
  std::vector<std::pair<size_t, WriteOutcome>> refused;  // place in intent
};

namespace {

// A peer's next record waits at most this long for one look at a busy document's lock, then other
// origins have their turn.
constexpr int64_t kContendedPauseUs = 100'000;

std::vector<LockKey> lock_keys(const Record& record) {
  std::vector<LockKey> keys;
  for (const DocumentEffects& document : record.documents) {
    keys.push_back({namespace_lock_key(document.ns), LockMode::kShared});
    keys.push_back({document_lock_key(document.ns, document.id.view()), LockMode::kExclusive});
  }
  return keys;
}

bool says_too_specific(const StoreWrite& write, const WriteOutcome& outcome) {
  constexpr int32_t kValidator = 121;
  constexpr int32_t kDuplicate = 11000;
  return write.kind == StoreWrite::Kind::kUpdate &&
         (outcome.kind == WriteOutcome::Kind::kNotMatched ||
          (outcome.code != kValidator && outcome.code != kDuplicate));
}

}  // namespace

Applier::Applier(Replica& replica, outbox::LogStore& log, outbox::CommitThread& commit,
                 LockTable& locks, Store& store, ApplierOptions options)
    : replica_(replica),
      log_(log),
      commit_(commit),
      locks_(locks),
      store_(store),
      options_(std::move(options)),
      documents_max_(options_.batch.documents_max) {
  replica_.attach(locks);
  const std::lock_guard guard(replica_.impl_->wakers_mutex);
  replica_.impl_->arrived = [this] {
    const std::lock_guard lock(mutex_);
    arrived_ = true;
    wake_.notify_all();
  };
}

Applier::~Applier() {
  stop();
  {
    const std::lock_guard guard(replica_.impl_->wakers_mutex);
    replica_.impl_->arrived = nullptr;
  }
  unlock();
}

// ---- locks

bool Applier::lock(const std::vector<LockKey>& keys) {
  auto request = std::make_unique<LockRequest>();
  for (const LockKey& key : keys) {
    if (held_hashes_.count(key.hash) == 0) request->add(key.hash, key.mode);
  }
  if (request->empty()) return true;
  if (!locks_.try_acquire(*request)) return false;
  held_.push_back(std::move(request));
  for (const LockKey& key : keys) held_hashes_.insert(key.hash);
  return true;
}

bool Applier::lock_waiting(const std::vector<LockKey>& keys) {
  OUTRIGGER_ASSERT(held_.empty());
  struct Grant {
    std::mutex mutex;
    std::condition_variable changed;
    bool granted = false;
  };
  auto grant = std::make_shared<Grant>();
  auto request = std::make_unique<LockRequest>();
  for (const LockKey& key : keys) request->add(key.hash, key.mode);
  const bool at_once = locks_.acquire(*request, [grant] {
    const std::lock_guard lock(grant->mutex);
    grant->granted = true;
    grant->changed.notify_all();
  });
  if (!at_once) {
    std::unique_lock lock(grant->mutex);
    const bool granted =
        grant->changed.wait_for(lock, options_.lock_wait, [&] { return grant->granted; });
    lock.unlock();
    if (!granted && locks_.cancel(*request)) return false;
  }
  held_.push_back(std::move(request));
  for (const LockKey& key : keys) held_hashes_.insert(key.hash);
  return true;
}

void Applier::unlock() {
  for (const auto& request : held_) locks_.release(*request);
  held_.clear();
  held_hashes_.clear();
}

void Applier::wait_for_contended() {
  if (contended_.empty()) return;
  const int64_t now = replica_.impl_->clock.monotonic_us();
  if (now < contended_wait_after_us_) return;
  contended_wait_after_us_ = lock_waiting(contended_) ? 0 : now + kContendedPauseUs;
}

// ---- gathering a batch

Delivery Applier::take_delivery() {
  Replica::Impl& impl = *replica_.impl_;
  std::map<Origin, std::vector<Inbox::Item>> front;
  VersionVector vector;
  int64_t wall_ms = 0;
  {
    const std::lock_guard guard(impl.mutex);
    front = impl.inbox.front(documents_max_);
    vector = impl.delivery_vector();
    wall_ms = impl.clock.wall_ms();
  }
  if (front.empty()) return {};
  wait_for_contended();
  contended_.clear();
  DeliveryLimits limits = options_.batch;
  limits.documents_max = documents_max_;
  return deliver(
      front, std::move(vector), limits,
      [&](Hlc stamp) { return hlc_ms(stamp) > wall_ms + impl.options.max_ahead_ms; },
      [&](const Record& record) {
        const std::vector<LockKey> keys = lock_keys(record);
        if (lock(keys)) return true;
        if (contended_.empty()) contended_ = keys;
        return false;
      });
}

// Documents set aside whose time has come again. The ledger holds their _id as it was.
Status Applier::add_retries(Work& work) {
  Replica::Impl& impl = *replica_.impl_;
  std::map<std::string, std::string> due;  // row key -> ledger key
  {
    const std::lock_guard guard(impl.mutex);
    for (const std::string& key : impl.retry_detached) {
      const auto found = impl.detached.find(key);
      if (found != impl.detached.end()) due.insert(*found);
    }
    if (due.empty()) impl.retry_detached.clear();
  }
  for (const auto& [key, ledger_key] : due) {
    auto entry = log_.ledger(ledger_key);
    if (!entry) return tl::unexpected(entry.error());
    if (!*entry) continue;
    auto known = decode_ledger(**entry);
    if (!known) return tl::unexpected(known.error());
    ApplyDocument document;
    document.ns = known->ns;
    document.id = known->id;
    document.canonical_id = bson::canonical_key(known->id.view());
    const std::vector<LockKey> keys{
        {namespace_lock_key(document.ns), LockMode::kShared},
        {document_lock_key(document.ns, document.id.view()), LockMode::kExclusive}};
    if (work.documents.size() >= documents_max_ || !lock(keys)) continue;
    {
      const std::lock_guard guard(impl.mutex);
      impl.retry_detached.erase(key);
    }
    work.documents.emplace(key, std::move(document));
  }
  return {};
}

Status Applier::read_rows(Work& work) {
  for (auto& [key, document] : work.documents) {
    auto row = log_.row(document.ns, document.canonical_id);
    if (!row) return tl::unexpected(row.error());
    document.row = std::move(*row);
  }
  return {};
}

Status Applier::read_stored(Work& work) {
  std::map<std::string, std::vector<ApplyDocument*>> by_ns;
  for (auto& [key, document] : work.documents) by_ns[document.ns].push_back(&document);
  size_t bytes = 0;
  for (const auto& [ns, documents] : by_ns) {
    std::vector<bson::OwnedValue> ids;
    for (const ApplyDocument* document : documents) ids.push_back(document->id);
    auto stored = store_.read(ns, ids);
    if (!stored) return tl::unexpected(stored.error());
    for (size_t i = 0; i < documents.size(); ++i) {
      if ((*stored)[i]) bytes += (*stored)[i]->size();
      documents[i]->stored = std::move((*stored)[i]);
    }
  }
  // Adapts the next batches to the size of the documents they meet.
  documents_max_ = bytes > options_.stored_bytes_max
                       ? std::max<size_t>(1, documents_max_ / 2)
                       : std::min(options_.batch.documents_max, documents_max_ * 2);
  return {};
}

// ---- the three steps

Result<StepOutcome> Applier::step() {
  if (under_way_) return finish();
  auto work = std::make_unique<Work>();
  Delivery delivery = take_delivery();
  note_held(delivery.refused);
  work->records = std::move(delivery.records);
  work->intent.after = std::move(delivery.after);
  if (Status retries = add_retries(*work); !retries) {
    unlock();
    return tl::unexpected(retries.error());
  }
  if (work->documents.empty() && work->intent.after.empty()) {
    unlock();
    return delivery.refused.empty() ? StepOutcome::kIdle : StepOutcome::kBlocked;
  }
  for (const auto& record : work->records) {
    for (const DocumentEffects& effects : record->documents) {
      std::string canonical = bson::canonical_key(effects.id.view());
      ApplyDocument& document = work->documents[outbox::row_key(effects.ns, canonical)];
      document.ns = effects.ns;
      document.id = effects.id;
      document.canonical_id = std::move(canonical);
      document.effects.emplace_back(record.get(), &effects);
    }
  }
  if (Status rows = read_rows(*work); !rows) {
    unlock();
    return tl::unexpected(rows.error());
  }
  if (Status stored = read_stored(*work); !stored) {
    unlock();
    {
      const std::lock_guard guard(replica_.impl_->mutex);
      for (const auto& [key, document] : work->documents) {
        if (replica_.impl_->detached.count(key) != 0) replica_.impl_->retry_detached.insert(key);
      }
    }
    return trouble(stored.error());
  }
  if (Status committed = commit_intent(*work); !committed) {
    unlock();
    return tl::unexpected(committed.error());
  }
  under_way_ = std::move(work);
  return finish();
}

// (1) Everything but the store's own data.
Status Applier::commit_intent(Work& work) {
  Replica::Impl& impl = *replica_.impl_;
  outbox::Batch batch;
  Hlc newest = 0;
  std::vector<std::pair<const Record*, size_t>> sizes;
  for (const auto& record : work.records) {
    const std::string entry = encode_record(*record);
    batch.put_entry(record->origin, record->hlc, entry);
    sizes.emplace_back(record.get(), entry.size());
    newest = std::max(newest, record->hlc);
  }
  int64_t rows = 0;
  std::map<std::string, LedgerEntry> lost;
  for (auto& [key, document] : work.documents) {
    if (Status merged = merge_document(document); !merged) return merged;
    if (!document.row_after.empty()) {
      batch.put_row(document.ns, document.canonical_id, document.row_after);
    } else if (document.row) {
      batch.remove_row(document.ns, document.canonical_id);
    }
    rows += static_cast<int64_t>(!document.row_after.empty()) -
            static_cast<int64_t>(document.row.has_value());
    for (LedgerEntry& entry : document.lost) lost.emplace(ledger_key(entry), std::move(entry));
    auto write = write_between(document.ns, document.id, document.stored, document.wanted);
    const bool was_detached = [&] {
      const std::lock_guard guard(impl.mutex);
      return impl.detached.count(key) != 0;
    }();
    if (!write && !was_detached) continue;
    if (write) {
      work.intended.push_back(work.intent.documents.size());
      work.writes.push_back(std::move(*write));
    }
    work.intent.documents.push_back({document.ns, document.id, document.wanted});
  }
  std::map<std::string, uint64_t> conflicts;
  for (auto& [key, entry] : lost) {
    auto known = log_.ledger(key);
    if (!known) return tl::unexpected(known.error());
    if (*known) continue;
    batch.put_ledger(key, encode_ledger(entry));
    ++conflicts[entry.kind];
    ++impl.ledger_entries;
  }
  if (!conflicts.empty()) {
    batch.put_meta(meta_keys::kLedgerCount, outbox::sortable(impl.ledger_entries));
  }
  const bool stamps_only = work.records.empty() && work.documents.empty();
  if (!stamps_only) batch.put_meta(meta_keys::kIntent, encode_intent(work.intent));
  if (!batch.empty()) {
    if (Status written = log_.write(std::move(batch)); !written) return written;
    if (Status synced = sync_now(commit_); !synced) return synced;
  }
  impl.rows += rows;
  const std::lock_guard guard(impl.mutex);
  // In one piece with the vector: who sees these effects and writes gets a later stamp.
  impl.hlc.observe(newest);
  impl.cited.raise(work.intent.after);
  impl.inbox.drop_applied(impl.cited);
  impl.applied_records += work.records.size();
  for (const auto& [record, bytes] : sizes) impl.mark_log(record->origin, record->hlc, bytes);
  for (const auto& [kind, count] : conflicts) impl.conflicts[kind] += count;
  return {};
}

Result<StepOutcome> Applier::finish() {
  if (Status stored = write_store(); !stored) return trouble(stored.error());
  if (Status completed = complete(); !completed) return tl::unexpected(completed.error());
  under_way_.reset();
  unlock();
  {
    const std::lock_guard guard(replica_.impl_->mutex);
    replica_.impl_->apply_trouble.clear();
  }
  replica_.impl_->wake();
  return StepOutcome::kApplied;
}

// (2) Repeated from the top after an error: the writes are absolute.
Status Applier::write_store() {
  Work& work = *under_way_;
  while (!work.writes.empty()) {
    auto outcomes = store_.apply(work.writes);
    if (!outcomes) return tl::unexpected(outcomes.error());
    std::vector<StoreWrite> again;
    std::vector<size_t> again_intended;
    for (size_t i = 0; i < work.writes.size(); ++i) {
      const WriteOutcome& outcome = (*outcomes)[i];
      if (outcome.ok()) continue;
      const size_t place = work.intended[i];
      const IntendedDocument& document = work.intent.documents[place];
      if (says_too_specific(work.writes[i], outcome)) {
        // The document is not as it was read, or a path did not mean what we thought: all of it.
        again.push_back(whole_write(document.ns, work.writes[i].id, document.document));
        again_intended.push_back(place);
      } else {
        work.refused.emplace_back(place, outcome);
      }
    }
    work.writes = std::move(again);
    work.intended = std::move(again_intended);
  }
  return {};
}

// (3) Not synced: should this be lost, the intent is still there and leads here again.
Status Applier::complete() {
  Replica::Impl& impl = *replica_.impl_;
  Work& work = *under_way_;
  outbox::Batch batch;
  for (const auto& [origin, hlc] : work.intent.after.entries()) {
    batch.put_meta(meta_keys::of_origin(meta_keys::kVector, origin), outbox::sortable(hlc));
  }
  batch.remove_meta(meta_keys::kIntent);
  std::map<std::string, WriteOutcome> refused;
  for (auto& [place, outcome] : work.refused) {
    const IntendedDocument& document = work.intent.documents[place];
    refused.emplace(outbox::row_key(document.ns, bson::canonical_key(document.id.view())),
                    std::move(outcome));
  }
  std::map<std::string, std::string> detached;
  {
    const std::lock_guard guard(impl.mutex);
    detached = impl.detached;
  }
  for (const IntendedDocument& document : work.intent.documents) {
    const std::string key =
        outbox::row_key(document.ns, bson::canonical_key(document.id.view()));
    const auto before = detached.find(key);
    const auto refusal = refused.find(key);
    if (before != detached.end()) {
      batch.remove_ledger(before->second);
      if (impl.ledger_entries > 0) --impl.ledger_entries;
      detached.erase(before);
      batch.remove_meta(meta_keys::kDetached + key);
    }
    if (refusal == refused.end() || !document.document) continue;
    std::string ledger;
    if (Status aside = set_aside(batch, document, refusal->second, &ledger); !aside) return aside;
    batch.put_meta(meta_keys::kDetached + key, ledger);
    detached.emplace(key, std::move(ledger));
  }
  batch.put_meta(meta_keys::kLedgerCount, outbox::sortable(impl.ledger_entries));
  if (Status written = log_.write(std::move(batch)); !written) return written;
  const std::lock_guard guard(impl.mutex);
  impl.detached = std::move(detached);
  impl.durable.raise(work.intent.after);
  impl.cited.raise(work.intent.after);
  return {};
}

Status Applier::set_aside(outbox::Batch& batch, const IntendedDocument& document,
                          const WriteOutcome& refusal, std::string* key) {
  const std::string canonical = bson::canonical_key(document.id.view());
  auto row = log_.row(document.ns, canonical);
  if (!row) return tl::unexpected(row.error());
  auto kept =
      detached_row(*row ? std::string_view(**row) : std::string_view(), *document.document);
  if (!kept) return tl::unexpected(kept.error());
  batch.put_row(document.ns, canonical, *kept);
  Replica::Impl& impl = *replica_.impl_;
  if (!*row) ++impl.rows;
  const LedgerEntry entry = not_applied_entry(
      document.ns, document.id, *document.document,
      "the store refused it with " + std::to_string(refusal.code) + ": " + refusal.message,
      impl.clock.wall_ms());
  *key = ledger_key(entry);
  batch.put_ledger(*key, encode_ledger(entry));
  ++impl.ledger_entries;
  if (options_.warn) {
    options_.warn("set aside " + document.ns + " " + bson::to_json(document.id.view(), 100) +
                  ": " + entry.reason);
  }
  const std::lock_guard guard(impl.mutex);
  ++impl.conflicts[kNotApplied];
  return {};
}

Status Applier::replay_interrupted() {
  OUTRIGGER_ASSERT(!under_way_);
  auto bytes = log_.meta(meta_keys::kIntent);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return {};
  auto intent = decode_intent(**bytes);
  if (!intent) return tl::unexpected(intent.error());
  under_way_ = std::make_unique<Work>();
  under_way_->intent = std::move(*intent);
  for (size_t i = 0; i < under_way_->intent.documents.size(); ++i) {
    const IntendedDocument& document = under_way_->intent.documents[i];
    under_way_->writes.push_back(whole_write(document.ns, document.id, document.document));
    under_way_->intended.push_back(i);
  }
  {
    Replica::Impl& impl = *replica_.impl_;
    const std::lock_guard guard(impl.mutex);
    for (const auto& [origin, hlc] : under_way_->intent.after.entries()) impl.hlc.observe(hlc);
  }
  Status done = write_store();
  if (done) done = complete();
  under_way_.reset();
  return done;
}

// ---- telling

StepOutcome Applier::trouble(const Error& error) {
  const std::string text = "applying waits: " + error.message();
  bool changed = false;
  {
    const std::lock_guard guard(replica_.impl_->mutex);
    changed = replica_.impl_->apply_trouble != text;
    replica_.impl_->apply_trouble = text;
  }
  if (changed && options_.warn) options_.warn(text);
  return StepOutcome::kTrouble;
}

void Applier::note_held(const std::vector<Origin>& refused) {
  std::vector<std::string> held;
  for (const Origin& origin : refused) {
    held.push_back(to_text(origin) + ": its next record changes a document that is locked here");
  }
  const std::lock_guard guard(replica_.impl_->mutex);
  replica_.impl_->held_by_locks = std::move(held);
}

// ---- the runner

void Applier::start() {
  OUTRIGGER_ASSERT(!thread_.joinable());
  thread_ = std::thread([this] { run(); });
}

void Applier::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Applier::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [&] { return stopping_; });
}

void Applier::run() {
  using SteadyClock = std::chrono::steady_clock;
  auto collect_at = SteadyClock::now();
  std::chrono::milliseconds back_off = options_.retry_min;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      arrived_ = false;
    }
    auto outcome = step();
    if (SteadyClock::now() >= collect_at) {
      if (Status collected = replica_.collect_step(options_.collect_documents); !collected) {
        if (options_.warn) options_.warn("collecting: " + collected.error().message());
      }
      collect_at = SteadyClock::now() + options_.collect_every;
    }
    if (!outcome || *outcome == StepOutcome::kTrouble) {
      if (!outcome) (void)trouble(outcome.error());
      pause(back_off);
      back_off = std::min(back_off * 2, options_.retry_max);
      continue;
    }
    back_off = options_.retry_min;
    if (*outcome == StepOutcome::kApplied) continue;
    // A blocked batch was already given its wait for the lock; look again soon.
    const bool blocked = *outcome == StepOutcome::kBlocked;
    const auto until = blocked ? SteadyClock::now() + std::chrono::milliseconds(2) : collect_at;
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, until, [&] { return stopping_ || (arrived_ && !blocked); });
  }
}

}  // namespace outrigger
