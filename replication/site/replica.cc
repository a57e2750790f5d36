#include "replication/site/replica.h"

#include <algorithm>
#include <cstring>
#include <future>
#include <random>

#include "replication/merge/merge.h"
#include "replication/record/bytes.h"
#include "replication/site/replica_impl.h"

namespace outrigger {

std::string meta_keys::of_origin(const char* prefix, const Origin& origin) {
  return prefix + outbox::origin_key(origin);
}

std::optional<Origin> meta_keys::origin_in(const char* prefix, std::string_view key) {
  constexpr size_t kOriginBytes = 24;
  const size_t prefix_bytes = std::strlen(prefix);
  if (!key.starts_with(prefix) || key.size() != prefix_bytes + kOriginBytes) return std::nullopt;
  return outbox::origin_of(key.substr(prefix_bytes));
}

namespace {

constexpr size_t kRowsPerScan = 10'000;

uint64_t random_epoch() {
  std::random_device device;
  uint64_t epoch = kRetired;
  while (epoch == kRetired) epoch = static_cast<uint64_t>(device()) << 32 | device();
  return epoch;
}

Result<SiteId> site_id(outbox::Outbox& outbox) {
  auto known = outbox.meta(meta_keys::kSiteId);
  if (!known) return tl::unexpected(known.error());
  SiteId id{};
  if (*known) {
    ByteReader in(**known, "site id");
    id = in.site();
    in.end();
    if (!in.ok()) return in.error();
    return id;
  }
  std::random_device device;
  for (uint8_t& byte : id) byte = static_cast<uint8_t>(device());
  outbox::Batch batch;
  batch.put_meta(meta_keys::kSiteId,
                 std::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
  if (Status written = outbox.write(std::move(batch)); !written) {
    return tl::unexpected(written.error());
  }
  return id;
}

Result<VersionVector> load_vector(const outbox::Outbox& outbox, const char* prefix) {
  auto pairs = outbox.scan_meta(prefix);
  if (!pairs) return tl::unexpected(pairs.error());
  VersionVector vector;
  for (const auto& [key, bytes] : *pairs) {
    const auto origin = meta_keys::origin_in(prefix, key);
    const auto hlc = parse_sortable(bytes);
    if (!origin || !hlc) return fail(ErrorCode::kCorrupt, "open outbox", prefix, "malformed entry");
    vector.raise(*origin, *hlc);
  }
  return vector;
}

// Our own entries may be behind what was published (they are written late), never the records.
Result<VersionVector> load_applied(const outbox::Outbox& outbox, const SiteId& site) {
  auto vector = load_vector(outbox, meta_keys::kVector);
  if (!vector) return vector;
  auto origins = outbox.origins();
  if (!origins) return tl::unexpected(origins.error());
  for (const Origin& origin : *origins) {
    if (origin.site != site) continue;
    auto last = outbox.last_entry(origin);
    if (!last) return tl::unexpected(last.error());
    vector->raise(origin, *last);
  }
  return vector;
}

}  // namespace

std::optional<uint64_t> parse_sortable(std::string_view bytes) {
  ByteReader in(bytes, "number");
  const uint64_t number = in.u64_be();
  in.end();
  return in.ok() ? std::optional(number) : std::nullopt;
}

Status sync_now(outbox::CommitThread& commit) {
  auto synced = std::make_shared<std::promise<Status>>();
  std::future<Status> result = synced->get_future();
  commit.when_durable([synced](const Status& status) { synced->set_value(status); });
  return result.get();
}

Replica::Impl::Impl(ReplicaOptions options_, outbox::Outbox& outbox_, outbox::CommitThread& commit_,
                    const Clock& clock_, const Origin& self_, Hlc start_)
    : options(std::move(options_)),
      outbox(outbox_),
      commit(commit_),
      clock(clock_),
      self(self_),
      hlc(clock, start_,
          [&] {
            HybridClock::Options clock_options;
            clock_options.ahead_ms_max = options.max_ahead_ms;
            return clock_options;
          }()),
      start(start_),
      stability(self, options.members.size(), start_),
      inbox(options.inbox_bytes_max) {}

Replica::Replica(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Replica::~Replica() {
  const std::lock_guard lock(impl_->wakers_mutex);
  impl_->wakers.clear();
}

Result<std::unique_ptr<Replica>> Replica::open(ReplicaOptions options, outbox::Outbox& outbox,
                                               outbox::CommitThread& commit, const Clock& clock) {
  OUTRIGGER_ASSERT(!options.members.empty());
  auto id = site_id(outbox);
  if (!id) return tl::unexpected(id.error());
  const Origin self{*id, random_epoch()};
  auto bound = outbox.meta(meta_keys::kBound);
  if (!bound) return tl::unexpected(bound.error());
  auto applied = load_applied(outbox, *id);
  if (!applied) return tl::unexpected(applied.error());
  auto prepares = outbox.scan_prepares();
  if (!prepares) return tl::unexpected(prepares.error());

  Hlc start =
      std::max(hlc_from_ms(clock.wall_ms()), *bound ? parse_sortable(**bound).value_or(0) : Hlc{0});
  for (const auto& [origin, hlc] : applied->entries()) start = std::max(start, hlc);
  for (const auto& [hlc, bytes] : *prepares) start = std::max(start, hlc);
  auto impl = std::make_shared<Impl>(std::move(options), outbox, commit, clock, self, start);
  impl->durable = *applied;
  impl->visible = *applied;
  impl->vector_at_open = std::move(*applied);
  if (Status loaded = impl->load_members(); !loaded) return tl::unexpected(loaded.error());
  if (Status loaded = impl->load(); !loaded) return tl::unexpected(loaded.error());
  return std::unique_ptr<Replica>(new Replica(std::move(impl)));
}

Status Replica::Impl::load() {
  auto floors = load_vector(outbox, meta_keys::kFloor);
  if (!floors) return tl::unexpected(floors.error());
  floor = std::move(*floors);
  auto set_aside = outbox.scan_meta(meta_keys::kDetached);
  if (!set_aside) return tl::unexpected(set_aside.error());
  for (const auto& [key, bytes] : *set_aside) {
    const std::string row = key.substr(std::strlen(meta_keys::kDetached));
    auto aside = decode_aside(bytes);
    if (!aside) return tl::unexpected(aside.error());
    detached.emplace(row, std::move(*aside));
    retry_detached.insert(row);
  }
  auto records = outbox.scan_meta(meta_keys::kQuarantined);
  if (!records) return tl::unexpected(records.error());
  for (const auto& [key, ledger_key] : *records) {
    quarantined.emplace(key.substr(std::strlen(meta_keys::kQuarantined)), ledger_key);
  }
  if (Status ledger = load_ledger(); !ledger) return ledger;
  rows = static_cast<int64_t>(outbox.cohort_rows());
  std::string cursor;
  do {
    auto next =
        outbox.scan_rows(cursor, kRowsPerScan,
                         [&](std::string_view, std::string_view, std::string_view) { ++rows; });
    if (!next) return tl::unexpected(next.error());
    cursor = std::move(*next);
  } while (!cursor.empty());
  const outbox::Usage usage = outbox.usage();
  entries_at_open = usage.entries;
  bytes_at_open = usage.entries_bytes;
  return renew_bound();
}

Status Replica::Impl::renew_bound() {
  Hlc needed = 0;
  {
    const std::lock_guard lock(mutex);
    needed = hlc.bound_needed();
  }
  if (needed == 0) return {};
  // Not synced by itself: a stamp beyond the old bound is written behind this in the same log.
  outbox::Batch batch;
  batch.put_meta(meta_keys::kBound, outbox::sortable(needed));
  if (Status written = outbox.write(std::move(batch)); !written) return written;
  const std::lock_guard lock(mutex);
  hlc.set_bound(needed);
  return {};
}

void Replica::Impl::wake() {
  // Called under its own lock, so that nobody is woken who has just been taken off the list.
  const std::lock_guard lock(wakers_mutex);
  for (const auto& waker : wakers) waker();
}

bool Replica::Impl::raise_published() {
  const Hlc through = open.empty() ? hlc.issued() : open.begin()->first - 1;
  if (through <= published || hlc.issued() == 0) return false;
  published = through;
  while (!unpublished.empty() && *unpublished.begin() <= published) {
    durable.raise(self, *unpublished.begin());
    unpublished.erase(unpublished.begin());
  }
  return true;
}

VersionVector Replica::Impl::known() const {
  VersionVector vector = durable;
  promises.raise_in(vector);
  vector.raise(self, published);
  return vector;
}

void Replica::Impl::alarm(const std::string& about, const std::string& text) {
  constexpr size_t kAlarmsMax = 64;
  {
    const std::lock_guard lock(mutex);
    const auto found = alarms.find(about);
    if (found == alarms.end() ? alarms.size() >= kAlarmsMax : found->second == text) return;
    alarms[about] = text;
  }
  if (options.alarm) options.alarm(text);
}

void Replica::Impl::calm(const std::string& about) { alarms.erase(about); }

VersionVector Replica::Impl::issued() const {
  VersionVector vector;
  vector.raise(self, hlc.issued());
  return vector;
}

VersionVector Replica::Impl::delivery_vector() const {
  VersionVector vector = visible;
  vector.raise(self, durable.at(self));
  return vector;
}

void Replica::when_durable(std::function<void(const Status&)> done,
                           std::chrono::microseconds needed_in) {
  impl_->commit.when_durable(std::move(done), needed_in);
}

RowKnowledge Replica::row_knowledge(std::string_view ns, std::string_view canonical_id,
                                    std::span<const Path* const> increments) const {
  RowKnowledge knowledge;
  knowledge.base_is_known.resize(increments.size());
  auto row = impl_->outbox.row(ns, canonical_id);
  if (!row || !*row) return knowledge;
  const auto state = merge::load_row(**row);
  if (!state) return knowledge;  // said when the write is settled
  knowledge.opaque = state->opaque;
  for (size_t i = 0; i < increments.size(); ++i) {
    knowledge.base_is_known[i] = merge::base_known(*state, *increments[i]);
  }
  return knowledge;
}

Status Replica::note_backend(const std::string& lsid_id, const std::string& local_address) {
  outbox::Batch batch;
  batch.put_meta(meta_keys::kBackend + lsid_id + local_address, "");
  return impl_->outbox.write(std::move(batch));
}

void Replica::forget_backend(const std::string& lsid_id) {
  auto noted = impl_->outbox.scan_meta(meta_keys::kBackend + lsid_id);
  if (!noted) return;  // failed or damaged: it stays noted, which only costs a look at restart
  outbox::Batch batch;
  for (const auto& [key, value] : *noted) batch.remove_meta(key);
  if (!batch.empty()) (void)impl_->outbox.write(std::move(batch));
}

void Replica::on_progress(std::function<void()> wake) {
  const std::lock_guard lock(impl_->wakers_mutex);
  impl_->wakers.push_back(std::move(wake));
}

VersionVector Replica::applied() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->durable;
}

void Replica::attach(LockTable& locks) { impl_->locks = &locks; }

void Replica::open_for_writes() {
  const std::lock_guard lock(impl_->mutex);
  impl_->accepts_writes = true;
}

}  // namespace outrigger
