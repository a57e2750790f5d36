#include "replication/applier.h"

#include <algorithm>

#include "replication/applier_work.h"
#include "replication/replica_impl.h"

namespace outrigger {

Applier::Applier(Replica& replica, outbox::LogStore& log, outbox::CommitThread& commit,
                 LockTable& locks, Store& store, ApplierOptions options)
    : replica_(replica),
      log_(log),
      commit_(commit),
      store_(store),
      options_(std::move(options)),
      documents_max_(options_.batch.documents_max),
      locks_(locks, [this] { wake(); }) {
  replica_.attach(locks);
  const std::lock_guard guard(replica_.impl_->wakers_mutex);
  replica_.impl_->arrived = [this] { wake(); };
}

Applier::~Applier() {
  stop();
  {
    const std::lock_guard guard(replica_.impl_->wakers_mutex);
    replica_.impl_->arrived = nullptr;
  }
}

// ---- gathering a batch

Delivery Applier::take_delivery() {
  Replica::Impl& impl = *replica_.impl_;
  std::map<Origin, std::vector<Inbox::Item>> front;
  VersionVector vector;
  int64_t wall_ms = 0;
  size_t wrong_max = 0;
  {
    const std::lock_guard guard(impl.mutex);
    front = impl.inbox.front(documents_max_);
    vector = impl.delivery_vector();
    wall_ms = impl.clock.wall_ms();
    wrong_max = kQuarantinedMax - std::min(kQuarantinedMax, impl.quarantined.size());
  }
  locks_.keep_places_of(front);
  if (front.empty()) return {};
  DeliveryLimits limits = options_.batch;
  limits.documents_max = documents_max_;
  limits.wrong_max = wrong_max;
  return deliver(
      front, std::move(vector), limits,
      [&](Hlc stamp) { return hlc_ms(stamp) > wall_ms + impl.options.max_ahead_ms; },
      [&](const Record& record) { return locks_.take(record); });
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
    if (work.documents.size() >= documents_max_) continue;
    if (!locks_.take(document.ns, document.id.view())) continue;
    {
      const std::lock_guard guard(impl.mutex);
      impl.retry_detached.erase(key);
    }
    work.documents.emplace(key, std::move(document));
  }
  return {};
}

// Records set aside that somebody wants to be tried again.
Status Applier::add_released(Work& work) {
  Replica::Impl& impl = *replica_.impl_;
  std::map<std::string, std::string> due;  // name -> ledger key
  {
    const std::lock_guard guard(impl.mutex);
    for (const std::string& name : impl.quarantine_retries) {
      const auto found = impl.quarantined.find(name);
      if (found != impl.quarantined.end()) due.insert(*found);
    }
    if (due.empty()) impl.quarantine_retries.clear();
  }
  for (const auto& [name, ledger_key] : due) {
    auto record = impl.quarantined_record(ledger_key);
    if (!record) return tl::unexpected(record.error());
    if (!locks_.take(**record)) continue;
    const std::lock_guard guard(impl.mutex);
    impl.quarantine_retries.erase(name);
    work.released.emplace(name, std::move(*record));
  }
  return {};
}

void Applier::add_effects(Work& work, const Record& record) {
  for (const DocumentEffects& effects : record.documents) {
    std::string canonical = bson::canonical_key(effects.id.view());
    ApplyDocument& document = work.documents[outbox::row_key(effects.ns, canonical)];
    document.ns = effects.ns;
    document.id = effects.id;
    document.canonical_id = std::move(canonical);
    document.effects.emplace_back(&record, &effects);
  }
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

// ---- one step

Result<StepOutcome> Applier::step() {
  if (under_way_) return finish();
  auto work = std::make_unique<Work>();
  Delivery delivery = take_delivery();
  note_held(delivery.refused, delivery.overfull);
  work->records = std::move(delivery.records);
  work->intent.after = std::move(delivery.after);
  work->promised = std::move(delivery.promised);
  work->wrong = std::move(delivery.wrong);
  Status retries = add_retries(*work);
  if (retries) retries = add_released(*work);
  if (!retries) {
    locks_.release();
    return tl::unexpected(retries.error());
  }
  if (work->documents.empty() && work->intent.after.empty() && work->released.empty()) {
    locks_.release();
    if (take_promises(work->promised)) return StepOutcome::kApplied;
    return delivery.refused.empty() ? StepOutcome::kIdle : StepOutcome::kBlocked;
  }
  // What was set aside is older than what comes now.
  for (const auto& [name, record] : work->released) add_effects(*work, *record);
  for (const auto& record : work->records) add_effects(*work, *record);
  if (Status rows = read_rows(*work); !rows) {
    locks_.release();
    return tl::unexpected(rows.error());
  }
  if (Status stored = read_stored(*work); !stored) {
    locks_.release();
    {
      const std::lock_guard guard(replica_.impl_->mutex);
      for (const auto& [key, document] : work->documents) {
        if (replica_.impl_->detached.count(key) != 0) replica_.impl_->retry_detached.insert(key);
      }
      for (const auto& [name, record] : work->released) {
        replica_.impl_->quarantine_retries.insert(name);
      }
    }
    return trouble(stored.error());
  }
  if (Status committed = commit_intent(*work); !committed) {
    locks_.release();
    return tl::unexpected(committed.error());
  }
  under_way_ = std::move(work);
  return finish();
}

// Everything before them has been applied. They need no disk: see stability.h.
bool Applier::take_promises(const std::vector<Inbox::Promised>& promised) {
  if (promised.empty()) return false;
  Replica::Impl& impl = *replica_.impl_;
  {
    const std::lock_guard guard(impl.mutex);
    for (const auto& [origin, through, word] : promised) impl.promises.raise(origin, through, word);
    impl.inbox.drop_applied(impl.cited, promised);
  }
  impl.wake();
  return true;
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

void Applier::note_held(const std::vector<Origin>& refused, const std::vector<Origin>& overfull) {
  std::vector<std::string> held;
  for (const Origin& origin : overfull) {
    held.push_back(to_text(origin) + ": its next record may not be applied, and " +
                   std::to_string(kQuarantinedMax) + " others are set aside already");
  }
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

// Records arrived, or a record has the locks it waited for.
void Applier::wake() {
  const std::lock_guard lock(mutex_);
  arrived_ = true;
  wake_.notify_all();
}

void Applier::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [&] { return stopping_; });
}

void Applier::run() {
  using SteadyClock = std::chrono::steady_clock;
  auto collect_at = SteadyClock::now();
  auto housekeeping_at = SteadyClock::now();
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
    if (options_.housekeeping && SteadyClock::now() >= housekeeping_at) {
      options_.housekeeping();
      housekeeping_at = SteadyClock::now() + options_.housekeeping_every;
    }
    if (!outcome || *outcome == StepOutcome::kTrouble) {
      if (!outcome) (void)trouble(outcome.error());
      pause(back_off);
      back_off = std::min(back_off * 2, options_.retry_max);
      continue;
    }
    back_off = options_.retry_min;
    if (*outcome == StepOutcome::kApplied) continue;
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, collect_at, [&] { return stopping_ || arrived_; });
  }
}

}  // namespace outrigger
