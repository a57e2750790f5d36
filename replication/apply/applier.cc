#include "replication/apply/applier.h"

#include <algorithm>
#include <utility>

#include "replication/record/catalog.h"
#include "replication/site/site_parts.h"

namespace outrigger {
namespace {

// Not of the store.
bool is_of_the_log(const Error& error) {
  return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kIo;
}

}  // namespace

Applier::Applier(Replica& replica, outbox::Outbox& outbox, outbox::CommitThread& commit,
                 LockTable& locks, Store& store, Threads& threads, ApplierOptions options)
    : replica_(replica),
      site_(replica.parts()),
      outbox_(outbox),
      store_(store),
      threads_(threads),
      options_(std::move(options)),
      locks_(locks, [this] { wake(); }),
      gatherer_(site_, outbox, store, locks_, options_),
      committer_(site_, outbox, commit, options_),
      writer_(store),
      resolver_(site_, outbox, store, locks_, options_),
      owners_(site_, outbox, commit, store, locks_, options_) {
  replica_.attach(locks);
  site_.wakers.on_work([this] { wake(); });
}

Applier::~Applier() {
  stop();
  site_.wakers.on_work(nullptr);
}

// ---- steps

Result<StepOutcome> Applier::step() {
  if (const auto failure = outbox_.failure()) return tl::unexpected<Error>(*failure);
  if (under_way_) {
    // What it wrote into a run that has forgotten it is written again once that is put back.
    if (Status admitted = is_admitted(store_, options_); !admitted) {
      return trouble(admitted.error());
    }
    ApplyProgress& progress = under_way_->progress;
    if (store_.process_id() != progress.process_id) progress.begin_again();
    return finish();
  }
  // Owners of keys and batches take turns: however many are parked, the stream goes on.
  const bool is_owners_turn = std::exchange(is_owners_turn_, !is_owners_turn_);
  if (is_owners_turn) {
    auto decided = owners_.step();
    if (!decided) {
      locks_.release();
      locks_.leave_line();
      if (is_of_the_log(decided.error())) return tl::unexpected(decided.error());
      return trouble(decided.error());
    }
    if (*decided) return StepOutcome::kApplied;
    is_owners_turn_ = true;
  }
  auto work = gatherer_.gather();
  if (!work) {
    if (is_of_the_log(work.error())) return tl::unexpected(work.error());
    return trouble(work.error());
  }
  if (work->empty()) {
    if (take_promises(work->promised)) return StepOutcome::kApplied;
    if (!is_owners_turn) return StepOutcome::kApplied;  // it was: there may be more
    return work->blocked ? StepOutcome::kBlocked : StepOutcome::kIdle;
  }
  if (Status committed = committer_.commit_intent(*work); !committed) {
    gatherer_.forget(*work);
    return tl::unexpected(committed.error());
  }
  site_.corrections.end(work->settled);
  under_way_.emplace(std::move(*work));
  under_way_->progress.process_id = store_.process_id();
  return finish();
}

Result<StepOutcome> Applier::finish() {
  ApplyWork& work = *under_way_;
  if (Status stored = write_all(work, true); !stored) {
    if (is_of_the_log(stored.error())) return tl::unexpected(stored.error());
    return trouble(stored.error());
  }
  if (Status completed = committer_.complete(work); !completed) {
    return tl::unexpected(completed.error());
  }
  if (Status noted = note_corrected(work); !noted) return tl::unexpected(noted.error());
  const std::vector<Inbox::Promised> promised = std::move(work.promised);
  under_way_.reset();
  locks_.release();
  (void)take_promises(promised);
  (void)site_.alarms.set_trouble("");
  site_.wakers.wake_for_progress();
  return StepOutcome::kApplied;
}

// What was refused is set aside, and noted as before.
Status Applier::note_corrected(const ApplyWork& work) {
  std::vector<std::string> corrected = work.corrected;
  std::erase_if(corrected, [&](const std::string& key) {
    return work.progress.outcomes.set_aside.contains(key);
  });
  if (corrected.empty()) return {};
  Hlc stamp = site_.state.stamp();
  while (stamp == 0) {
    if (Status renewed = site_.records.renew_bound(); !renewed) return renewed;
    stamp = site_.state.stamp();
  }
  site_.corrections.corrected(corrected, work.progress.process_id, stamp);
  return {};
}

Status Applier::replay_interrupted() {
  OUTRIGGER_ASSERT(!under_way_);
  if (Status begun = owners_.begin(); !begun) return begun;
  auto work = committer_.interrupted(meta_keys::kIntent);
  if (!work) return tl::unexpected(work.error());
  if (!*work) return {};
  // What the store forgot has just been put back, and this is part of that. Births that are there
  // would be refused one by one.
  (*work)->progress.is_put_back = !(*work)->intent.births.empty();
  (*work)->progress.is_unheard = true;
  if (Status stored = write_all(**work, false); !stored) return stored;
  return committer_.complete(**work);
}

// Strangers become writes of the batch, which are done then. What a store shows that has forgotten
// is none, and what was written into it is written again.
Status Applier::write_all(ApplyWork& work, bool must_be_served) {
  std::vector<std::string> collections;  // that become others; nobody knows them meanwhile
  for (const StoreWrite& write : work.intent.writes) {
    if (write.ns != kCatalogNs || write.id.type != bson::Type::kString) continue;
    collections.emplace_back(write.id.view().as_string());
    options_.catalog_changed(collections.back());
  }
  while (true) {
    if (Status stored = writer_.write(work.intent.writes, work.progress); !stored) return stored;
    if (must_be_served && !options_.admits(store_.process_id())) {
      work.progress.begin_again();
      return fail(ErrorCode::kUnavailable, "apply to store", "", "it was started anew");
    }
    for (const StoreWrite& write : work.intent.writes) {
      if (write.ns != kCatalogNs) continue;
      if (Status told = owners_.told(write); !told) return told;
    }
    for (const std::string& ns : collections) {
      options_.catalog_changed(ns);
      site_.aside.try_parked_again(ns);
    }
    if (work.progress.outcomes.strangers.empty()) return {};
    if (Status joined = committer_.join_strangers(work); !joined) return joined;
  }
}

// Everything before them has been applied. They need no disk: see stability.h.
bool Applier::take_promises(const std::vector<Inbox::Promised>& promised) {
  if (promised.empty()) return false;
  site_.state.take_promises(promised);
  site_.wakers.wake_for_progress();
  return true;
}

void Applier::try_aside_again() {
  site_.aside.forget_indexes();  // indexes are made without a word to the applier
  site_.kept.look_again();
  aside_cursor_ = site_.aside.try_some_again(aside_cursor_, options_.try_aside_documents);
}

Status Applier::resolve_step() {
  if (under_way_ || outbox_.failure()) return {};
  if (Status admitted = is_admitted(store_, options_); !admitted) return admitted;
  return resolver_.step();
}

// ---- telling

StepOutcome Applier::trouble(const Error& error) {
  const std::string text = "applying waits: " + error.message();
  const bool changed = site_.alarms.set_trouble(text);
  if (changed && options_.warn) options_.warn(text);
  return StepOutcome::kTrouble;
}

// ---- the runner

void Applier::start() {
  OUTRIGGER_ASSERT(!thread_);
  thread_ = threads_.start([this] { run(); });
}

void Applier::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.reset();
}

// Records arrived, or a record has the locks it waited for.
void Applier::wake() {
  const MutexLock lock(mutex_);
  arrived_ = true;
  wake_.notify_all();
}

void Applier::pause(std::chrono::milliseconds time) {
  const auto until = threads_.now() + time;
  const MutexLock lock(mutex_);
  while (!stopping_ && wake_.wait_until(mutex_, until)) continue;
}

void Applier::run() {
  auto collect_at = threads_.now();
  auto housekeeping_at = threads_.now();
  auto resolve_at = threads_.now();
  auto aside_at = threads_.now() + options_.try_aside_every;
  std::chrono::milliseconds back_off = options_.retry_min;
  while (true) {
    {
      const MutexLock lock(mutex_);
      if (stopping_) return;
      arrived_ = false;
    }
    auto outcome = step();
    if (threads_.now() >= collect_at) {
      if (Status collected = replica_.collect_step(options_.collect_documents); !collected) {
        if (options_.warn) options_.warn("collecting: " + collected.error().message());
      }
      collect_at = threads_.now() + options_.collect_every;
    }
    if (threads_.now() >= resolve_at) {
      if (Status resolved = resolve_step(); !resolved) outcome = trouble(resolved.error());
      resolve_at = threads_.now() + options_.resolve_after / 4;
    }
    if (threads_.now() >= aside_at) {
      try_aside_again();
      aside_at = threads_.now() + options_.try_aside_every;
    }
    if (options_.housekeeping && threads_.now() >= housekeeping_at) {
      options_.housekeeping();
      housekeeping_at = threads_.now() + options_.housekeeping_every;
    }
    if (!outcome || *outcome == StepOutcome::kTrouble) {
      if (!outcome) (void)trouble(outcome.error());
      pause(back_off);
      back_off = std::min(back_off * 2, options_.retry_max);
      continue;
    }
    back_off = options_.retry_min;
    if (*outcome == StepOutcome::kApplied) continue;
    const MutexLock lock(mutex_);
    while (!stopping_ && !arrived_ && wake_.wait_until(mutex_, collect_at)) continue;
  }
}

}  // namespace outrigger
