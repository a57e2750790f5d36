#include "replication/applier.h"

#include <algorithm>

#include "replication/applier_work.h"
#include "replication/replica_impl.h"

namespace outrigger {

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

// ---- one step

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
    // A blocked batch was already given its wait for the lock; look again soon.
    const bool blocked = *outcome == StepOutcome::kBlocked;
    const auto until = blocked ? SteadyClock::now() + std::chrono::milliseconds(2) : collect_at;
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, until, [&] { return stopping_ || (arrived_ && !blocked); });
  }
}

}  // namespace outrigger
