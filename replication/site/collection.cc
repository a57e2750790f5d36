#include "replication/site/collection.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "config/policy.h"
#include "replication/merge/claims/claim.h"
#include "replication/merge/row.h"
#include "replication/record/catalog.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kTruncateRecords = 20'000;       // a step
constexpr size_t kTruncateBytes = 1u << 20;       // read at once
constexpr size_t kRowsAtOnce = 64;                // locked together
constexpr size_t kRowBytesKept = 128;             // of a row that is looked at twice
constexpr size_t kAsideRead = 200;                // of a namespace, in each step
constexpr int64_t kRetryLifeMs = 35 * 60 * 1000;  // a server session lives 30 minutes
constexpr int64_t kRetryCheckMs = 60 * 1000;

struct RowKey {
  std::string ns;
  std::string canonical_id;
};

// A row that is to become less.
struct ReadyRow {
  RowKey key;
  std::string to_go;  // its bytes when it was read, if with these nothing of it stays
};

}  // namespace

bool Collection::Forgettable::keeps(std::string_view ns, const Dot& claim) const {
  const auto from = kept_from.find(ns);
  return from != kept_from.end() && claim >= from->second;
}

// What is to become of a row: nothing (unchanged), bytes, or removal (empty bytes).
Result<std::optional<std::string>> Collection::collected(std::string_view ns,
                                                         std::string_view bytes,
                                                         const Forgettable& may_go) {
  if (merge::is_at_rest(bytes)) return std::optional<std::string>();
  auto state = merge::load_row(bytes);
  if (!state) return tl::unexpected(state.error());
  if (state->detached) return std::optional<std::string>();  // the only copy of its values
  std::string after;
  if (!merge::collect(*state, may_go.stable, may_go.closed)) {
    // What the catalogue forgets of a drop is asked for while anything of it is remembered.
    if (ns != kCatalogNs) merge::fold(*state, {may_go.stable, may_go.closed});
    after = merge::strip(*state);
  } else {
    const Dot claim = merge::claim_of(*state);
    if (claim.hlc >= may_go.before) return std::optional<std::string>();
    const bool keeps = !claim.is_zero() && may_go.keeps(ns, claim);
    if (keeps && merge::birth_in_row(bytes)) return std::optional<std::string>();  // it is no more
    after = merge::stable_row(*state, keeps);
  }
  if (after == bytes) return std::optional<std::string>();
  return std::optional<std::string>(std::move(after));
}

Status Collection::step(size_t documents_max) {
  const MutexLock one_caller(stepping_);
  if (Status renewed = records_.renew_bound(); !renewed) return renewed;
  const SiteState::Common common = state_.update_stability();
  if (common.moved) wakers_.wake_for_progress();
  if (Status retired = retirement_.retire(); !retired) return retired;
  if (Status purged = retirement_.purge(); !purged) return purged;
  const VersionVector journaled = state_.journaled();
  if (Status noted = note_journaled(journaled); !noted) return noted;
  if (Status cut = truncate(VersionVector::minimum(common.acknowledged, journaled)); !cut)
    return cut;
  if (Status trimmed = ledger_.trim(); !trimmed) return trimmed;
  const auto may_go = forgettable(common, journaled);
  if (!may_go) return tl::unexpected(may_go.error());
  if (Status dropped = drop_cohorts(*may_go); !dropped) return dropped;
  if (Status rows = collect_rows(documents_max, *may_go); !rows) return rows;
  return expire_retries(documents_max);
}

// Before any sync: what is forgotten because of it comes later in the same log.
Status Collection::note_journaled(const VersionVector& journaled) {
  outbox::Batch batch;
  for (const auto& [origin, hlc] : journaled.entries()) {
    if (noted_journaled_.at(origin) != hlc) put_journaled(batch, origin, hlc);
  }
  if (batch.empty()) return {};
  if (Status written = context_.write_soon(std::move(batch)); !written) return written;
  noted_journaled_ = journaled;
  return {};
}

// Nothing: none of them is to stay.
Result<std::optional<Dot>> Collection::first_claim(std::string_view ns,
                                                   const std::vector<std::string>& row_keys,
                                                   bool with_forgotten) const {
  std::optional<Dot> first;
  for (const std::string& key : row_keys) {
    auto row = context_.outbox.row(ns, key.substr(ns.size() + 1));
    if (!row) return tl::unexpected(row.error());
    auto state = merge::load_row(*row ? std::string_view(**row) : std::string_view());
    if (!state) return tl::unexpected(state.error());
    if (*row && state->incarnations.empty() && state->gone.empty()) continue;  // it is to go
    const Dot claim = merge::least_claim_of(*state);
    if (claim.is_zero() && !with_forgotten) continue;
    first = first ? std::min(*first, claim) : claim;
  }
  return first;
}

Result<Collection::Forgettable> Collection::forgettable(const SiteState::Common& common,
                                                        const VersionVector& journaled) const {
  Forgettable may_go;
  may_go.stable = VersionVector::minimum(common.stable, journaled);
  may_go.closed = state_.standing().closed;
  may_go.before = kHlcMax;
  for (const auto& [origin, hlc] : common.known.entries()) {
    const Hlc stable = may_go.stable.get(origin);
    if (origin.epoch != kRetired && stable < hlc) {
      may_go.before = std::min(may_go.before, stable + 1);
    }
  }
  for (const auto& [ns, row_keys] : kept_.row_keys()) {
    // One whose claim is forgotten came before the others, whatever they claim.
    auto first = first_claim(ns, row_keys, false);
    if (!first) return tl::unexpected(first.error());
    if (*first) may_go.kept_from.emplace(ns, **first);
  }
  if (aside_.size() == 0) return may_go;
  for (const auto& [ns, in] : aside_.in_namespaces(kAsideRead)) {
    if (in.has_unique_index == false) continue;
    auto first = first_claim(ns, in.row_keys, true);
    if (!first) return tl::unexpected(first.error());
    if (!*first && !in.row_keys.empty()) continue;
    // Who came first names the entries of what is kept, too: nobody's is forgotten before that.
    const Policy* policy = context_.options.policy;
    const bool keeps = policy != nullptr && policy->merge_rules(ns).keeps_duplicates();
    if (keeps) *first = Dot();
    Dot& from = may_go.kept_from.try_emplace(ns, first->value_or(Dot())).first->second;
    from = std::min(from, first->value_or(Dot()));
  }
  return may_go;
}

Status Collection::drop_cohorts(const Forgettable& may_go) {
  if (dropped_ == may_go) return {};
  auto dropped = context_.outbox.drop_cohorts(
      [&](const Origin& of) { return std::min(may_go.stable.get(of), may_go.before - 1); },
      [&](const Dot& birth, std::string_view ns) { return may_go.keeps(ns, birth); });
  if (!dropped) return tl::unexpected(dropped.error());
  state_.rows_changed(-static_cast<int64_t>(*dropped));
  collected_rows_ += *dropped;
  dropped_ = may_go;
  return {};
}

Status Collection::truncate(const VersionVector& through_all) {
  size_t left = kTruncateRecords;
  for (const auto& [origin, through] : through_all.entries()) {
    if (origin.epoch == kRetired) continue;
    auto [after, last] = state_.kept_of(origin);
    if (last == 0) continue;  // retired
    while (left > 0 && after < through) {
      auto entries = context_.outbox.read_entries(origin, after, through, kTruncateBytes);
      if (!entries) return tl::unexpected(entries.error());
      if (entries->empty()) break;
      outbox::Batch batch;
      for (const auto& [stamp, bytes] : *entries) {
        batch.remove_read_entry(origin, stamp, bytes.size());
      }
      after = entries->back().first;
      batch.put_meta(meta_keys::of_origin(meta_keys::kFloor, origin), outbox::sortable(after));
      // The entry of this site is otherwise derived from the last record, which may be going.
      if (origin.site == context_.self.site) {
        batch.put_meta(meta_keys::of_origin(meta_keys::kVector, origin), outbox::sortable(last));
      }
      state_.raise_floor(origin, after);
      if (Status written = context_.write_soon(std::move(batch)); !written) return written;
      left -= std::min(left, entries->size());
    }
  }
  return {};
}

// The namespace too: who has all of it to himself locks no documents.
static HeldLocks try_lock(LockTable& table, const RowKey& key) {
  auto request = std::make_unique<LockRequest>();
  request->add(namespace_lock_key(key.ns), LockMode::kShared);
  request->add(document_lock_key(key.ns, key.canonical_id), LockMode::kExclusive);
  HeldLocks locks = HeldLocks::try_take(table, std::move(request));
  locks.leave(Left::kNothing);
  return locks;
}

// False: all is as it was when the last pass began, and that has left nothing out.
bool Collection::begins_pass(const Forgettable& may_go) {
  if (!pass_under_way_ && pass_ == may_go) return false;
  pass_ = may_go;
  pass_under_way_ = false;  // set again when a locked row had to be passed over
  return true;
}

Status Collection::collect_rows(size_t documents_max, const Forgettable& may_go) {
  LockTable* const table = locks_;
  if (table == nullptr) return {};
  if (row_cursor_.empty() && !begins_pass(may_go)) return {};
  std::vector<ReadyRow> ready;
  auto next = context_.outbox.scan_rows(
      row_cursor_, documents_max,
      [&](std::string_view ns, std::string_view id, std::string_view bytes) {
        auto after = collected(ns, bytes, may_go);
        if (!after || !*after) return;
        const bool goes = (*after)->empty() && bytes.size() <= kRowBytesKept;
        ready.push_back({{std::string(ns), std::string(id)}, std::string(goes ? bytes : "")});
      });
  if (!next) return tl::unexpected(next.error());
  row_cursor_ = std::move(*next);
  for (size_t begin = 0; begin < ready.size(); begin += kRowsAtOnce) {
    std::vector<HeldLocks> held;
    outbox::Batch batch;
    int64_t gone = 0;
    Status result;
    for (size_t i = begin; i < std::min(begin + kRowsAtOnce, ready.size()) && result; ++i) {
      const RowKey& key = ready[i].key;
      HeldLocks locks = try_lock(*table, key);
      if (!locks) {
        pass_under_way_ = true;
        continue;
      }
      if (corrections_.is_noted(outbox::row_key(key.ns, key.canonical_id))) {
        pass_under_way_ = true;
        continue;
      }
      held.push_back(std::move(locks));
      auto bytes = context_.outbox.row(key.ns, key.canonical_id);
      if (!bytes) result = tl::unexpected(bytes.error());
      if (!bytes || !*bytes) continue;
      if (**bytes == ready[i].to_go) {
        batch.remove_row(key.ns, key.canonical_id);
        ++gone;
        continue;
      }
      auto after = collected(key.ns, **bytes, may_go);
      if (!after) result = tl::unexpected(after.error());
      if (!after || !*after) continue;
      if (merge::counts(**bytes) && !merge::counts(**after)) ++gone;
      if ((*after)->empty()) {
        batch.remove_row(key.ns, key.canonical_id);
      } else {
        batch.put_row(key.ns, key.canonical_id, **after);
      }
    }
    if (result && !batch.empty()) result = context_.write_soon(std::move(batch));
    held.clear();
    if (!result) return result;
    state_.rows_changed(-gone);
    collected_rows_ += static_cast<uint64_t>(gone);
  }
  return {};
}

Status Collection::expire_retries(size_t count) {
  const int64_t now = context_.clock.wall_ms();
  if (retry_cursor_.empty() && now - retries_checked_ms_ < kRetryCheckMs) return {};
  retries_checked_ms_ = now;
  outbox::Batch batch;
  auto next = context_.outbox.scan_retries(
      retry_cursor_, count, [&](std::string_view key, std::string_view bytes) {
        const auto written_ms = parse_sortable(bytes.substr(0, 8));
        if (!written_ms || static_cast<int64_t>(*written_ms) + kRetryLifeMs < now) {
          batch.remove_retry(key);
        }
      });
  if (!next) return tl::unexpected(next.error());
  retry_cursor_ = std::move(*next);
  return batch.empty() ? Status() : context_.write_soon(std::move(batch));
}

}  // namespace outrigger
