#include "replication/apply/applier.h"

#include <algorithm>

#include "replication/apply/apply_notes.h"
#include "replication/apply/apply_work.h"
#include "replication/site/site_parts.h"

namespace outrigger {

Applier::Applier(Replica& replica, outbox::Outbox& outbox, outbox::CommitThread& commit,
                 LockTable& locks, Store& store, ApplierOptions options)
    : replica_(replica),
      site_(replica.parts()),
      outbox_(outbox),
      commit_(commit),
      store_(store),
      options_(std::move(options)),
      documents_max_(options_.batch.documents_max),
      locks_(locks, [this] { wake(); }),
      writer_(store),
      resolver_(site_, outbox, store, locks_, options_) {
  replica_.attach(locks);
  site_.wakers.on_work([this] { wake(); });
}

Applier::~Applier() {
  stop();
  site_.wakers.on_work(nullptr);
}

// ---- gathering a batch

Delivery Applier::take_delivery() {
  SiteState::Front front = site_.state.front(documents_max_);
  locks_.keep_places_of(front.queues);
  if (front.queues.empty()) return {};
  const int64_t wall_ms_max = site_.context.clock.wall_ms() + site_.context.options.max_ahead_ms;
  DeliveryLimits batch = options_.batch;
  batch.documents_max = documents_max_;
  batch.wrong_max =
      limits::kQuarantinedMax - std::min(limits::kQuarantinedMax, site_.quarantine.size());
  return deliver(
      front.queues, std::move(front.delivered), batch,
      [&](Hlc stamp) { return hlc_ms(stamp) > wall_ms_max; },
      [&](const Record& record) { return locks_.take(record); });
}

void Applier::try_aside_again() {
  aside_cursor_ = site_.aside.try_some_again(aside_cursor_, options_.try_aside_documents);
}

Status Applier::resolve_step() { return under_way_ ? Status() : resolver_.step(); }

// Documents set aside whose time has come again. The ledger holds their _id as it was.
Status Applier::add_retries(ApplyWork& work) {
  for (const auto& [key, aside] : site_.aside.due()) {
    if (work.documents.size() >= std::min(documents_max_, options_.try_aside_documents)) break;
    if (!has_room(work)) break;
    auto entry = outbox_.ledger(aside.ledger_key);
    if (!entry) return tl::unexpected(entry.error());
    if (!*entry) continue;
    auto known = decode_ledger(**entry);
    if (!known) return tl::unexpected(known.error());
    ApplyDocument document;
    document.ns = known->ns;
    document.id = known->id;
    document.canonical_id = bson::canonical_key(known->id.view());
    if (!locks_.take(document.ns, document.id.view())) continue;
    site_.aside.taken(key);
    work.documents.emplace(key, std::move(document));
  }
  return {};
}

// Records set aside that somebody wants to be tried again.
Status Applier::add_released(ApplyWork& work) {
  for (const auto& [name, ledger_key] : site_.quarantine.due()) {
    if (!has_room(work)) break;
    auto record = site_.quarantine.record(ledger_key);
    if (!record) return tl::unexpected(record.error());
    auto too_late = site_.quarantine.too_late_for((*record)->dot());
    if (!too_late) return tl::unexpected(too_late.error());
    if (too_late->empty() && !locks_.take(**record)) continue;
    site_.quarantine.taken(name);
    if (!too_late->empty()) continue;  // since somebody wanted it
    work.released.emplace(name, std::move(*record));
  }
  return {};
}

Status Applier::read_rows(ApplyWork& work) {
  for (auto& [key, document] : work.documents) {
    auto row = outbox_.row(document.ns, document.canonical_id);
    if (!row) return tl::unexpected(row.error());
    document.row = std::move(*row);
    if (document.row) work.bytes += document.row->size();
  }
  return {};
}

// Documents that need the same fields are read together, as long as they are not too many: each is
// read with the fields of all.
Status Applier::merge_all(ApplyWork& work) {
  constexpr size_t kFieldsMax = 64;
  struct Group {
    std::vector<ApplyDocument*> documents;
    std::set<std::string> fields;
  };
  std::map<std::string, std::vector<ApplyDocument*>> whole;
  std::map<std::string, std::vector<Group>> in_part;
  for (auto& [key, document] : work.documents) {
    auto fields = fields_needed(document);
    if (!fields) return tl::unexpected(fields.error());
    if (!*fields) {
      whole[document.ns].push_back(&document);
      continue;
    }
    std::vector<Group>& groups = in_part[document.ns];
    if (groups.empty() || groups.back().fields.size() + (*fields)->size() > kFieldsMax) {
      groups.emplace_back();
    }
    groups.back().documents.push_back(&document);
    groups.back().fields.insert((*fields)->begin(), (*fields)->end());
  }
  for (const auto& [ns, groups] : in_part) {
    for (const Group& group : groups) {
      const std::vector<std::string> fields(group.fields.begin(), group.fields.end());
      if (Status merged = merge_some(work, ns, group.documents, fields); !merged) return merged;
    }
  }
  for (const auto& [ns, documents] : whole) {
    if (Status merged = merge_some(work, ns, documents, std::nullopt); !merged) return merged;
  }
  return {};
}

Status Applier::merge_some(ApplyWork& work, const std::string& ns,
                           std::span<ApplyDocument* const> documents,
                           const std::optional<std::vector<std::string>>& fields) {
  std::vector<bson::OwnedValue> ids;
  for (const ApplyDocument* document : documents) ids.push_back(document->id);
  std::vector<bool> there(ids.size());
  std::vector<ApplyDocument*> again;
  Status result;
  const auto merge = [&](size_t index, const std::optional<bson::Document>& stored) {
    if (!result || too_much(work)) return;
    ApplyDocument& document = *documents[index];
    // What is not there is known whole.
    auto merged = merge_document(document, stored, !fields || !stored);
    if (!merged) {
      result = tl::unexpected(merged.error());
    } else if (!*merged) {
      again.push_back(&document);
    }
    if (stored) work.bytes += stored->bytes().size();
    for (const auto& [position, write] : document.writes) work.bytes += memory_bytes(write);
  };
  Status looked = store_.look(ns, ids, fields, [&](size_t index, const bson::Document& stored) {
    there[index] = true;
    merge(index, stored);
  });
  // Where no document can be, none is: what writing them meets is a verdict on these alone.
  const bool none = !looked && looked.error().code == ErrorCode::kInvalidArgument;
  if (!looked && !none) return tl::unexpected(refused_to_read(store_, ns, looked.error()));
  for (size_t i = 0; i < there.size(); ++i) {
    if (!there[i]) merge(i, std::nullopt);
  }
  if (!result || again.empty()) return result;
  return merge_some(work, ns, again, std::nullopt);
}

// ---- one step

// Records, documents and what becomes of them. False: there is nothing to do.
Result<bool> Applier::gather(ApplyWork& work) {
  Delivery delivery = take_delivery();
  note_held(site_.alarms, delivery.refused, delivery.overfull);
  work.records = std::move(delivery.records);
  work.intent.after = std::move(delivery.after);
  work.promised = std::move(delivery.promised);
  work.wrong = std::move(delivery.wrong);
  work.blocked = !delivery.refused.empty();
  if (Status retries = add_retries(work); !retries) return tl::unexpected(retries.error());
  if (Status released = add_released(work); !released) return tl::unexpected(released.error());
  if (work.empty()) return false;
  // What was set aside is older than what comes now.
  std::vector<std::shared_ptr<const Record>> records;
  for (const auto& [name, record] : work.released) records.push_back(record);
  records.insert(records.end(), work.records.begin(), work.records.end());
  add_touches(records, work.documents);
  if (Status rows = read_rows(work); !rows) return tl::unexpected(rows.error());
  if (Status merged = merge_all(work); !merged) return tl::unexpected(merged.error());
  return true;
}

Result<StepOutcome> Applier::step() {
  if (under_way_) return finish();
  ApplyWork work;
  while (true) {
    auto gathered = gather(work);
    if (!gathered || !*gathered || too_much(work)) forget(work);
    if (!gathered) {
      const bool store =
          gathered.error().code != ErrorCode::kCorrupt && gathered.error().code != ErrorCode::kIo;
      if (store) return trouble(gathered.error());
      return tl::unexpected(gathered.error());
    }
    if (!*gathered && take_promises(work.promised)) return StepOutcome::kApplied;
    if (!*gathered) return work.blocked ? StepOutcome::kBlocked : StepOutcome::kIdle;
    if (!too_much(work)) break;
    documents_max_ = std::max<size_t>(1, std::min(documents_max_, work.documents.size()) / 2);
    work = ApplyWork();
  }
  documents_max_ = std::min(options_.batch.documents_max, documents_max_ * 2);
  if (Status committed = commit_intent(work); !committed) {
    forget(work);
    return tl::unexpected(committed.error());
  }
  under_way_.emplace(std::move(work));
  return finish();
}

// Everything before them has been applied. They need no disk: see stability.h.
bool Applier::take_promises(const std::vector<Inbox::Promised>& promised) {
  if (promised.empty()) return false;
  site_.state.take_promises(promised);
  site_.wakers.wake_for_progress();
  return true;
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
  OUTRIGGER_ASSERT(!thread_.joinable());
  thread_ = std::thread([this] { run(); });
}

void Applier::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

// Records arrived, or a record has the locks it waited for.
void Applier::wake() {
  const MutexLock lock(mutex_);
  arrived_ = true;
  wake_.notify_all();
}

void Applier::pause(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  const MutexLock lock(mutex_);
  while (!stopping_ && wake_.wait_until(mutex_, until)) continue;
}

void Applier::run() {
  using SteadyClock = std::chrono::steady_clock;
  auto collect_at = SteadyClock::now();
  auto housekeeping_at = SteadyClock::now();
  auto resolve_at = SteadyClock::now();
  auto aside_at = SteadyClock::now() + options_.try_aside_every;
  std::chrono::milliseconds back_off = options_.retry_min;
  while (true) {
    {
      const MutexLock lock(mutex_);
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
    if (SteadyClock::now() >= resolve_at) {
      if (Status resolved = resolve_step(); !resolved) outcome = trouble(resolved.error());
      resolve_at = SteadyClock::now() + options_.resolve_after / 4;
    }
    if (SteadyClock::now() >= aside_at) {
      try_aside_again();
      aside_at = SteadyClock::now() + options_.try_aside_every;
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
    const MutexLock lock(mutex_);
    while (!stopping_ && !arrived_ && wake_.wait_until(mutex_, collect_at)) continue;
  }
}

}  // namespace outrigger
