#include "replication/kept/kept_keys.h"

#include <algorithm>
#include <utility>

#include "config/policy.h"
#include "replication/record/catalog.h"

namespace outrigger {
namespace {

using bson::Document;

constexpr size_t kLookedAtOnce = 32;  // the stream waits meanwhile
constexpr int64_t kAgainMs = 30'000;  // what was in vain
constexpr int32_t kNoNamespace = 26;
constexpr const char* kAlarm = "unique: keep";

std::string key_of(const RelaxedIndex& index) { return index.ns + '\0' + index.name(); }

std::string alarm_of(const RelaxedIndex& index) {
  return std::string(kAlarm) + " " + index.ns + " " + index.name();
}

std::string said_of(const RelaxedIndex& index) {
  return "the unique index " + index.name() + " of " + index.ns;
}

}  // namespace

bool KeptKeys::is_to_keep(const std::string& ns) const {
  const Policy* policy = site_.context.options.policy;
  return policy != nullptr && policy->merge_rules(ns).keeps_duplicates();
}

Result<bool> KeptKeys::keeps(const std::string& ns) {
  if (!is_to_keep(ns)) return false;
  if (!can_ || asked_ != store_.process_id()) {
    auto info = store_.info();
    if (!info) return tl::unexpected(info.error());
    can_ = info->wire_version_max >= kWireVersionGuards;
    asked_ = store_.process_id();
    if (can_) site_.alarms.calm(kAlarm);
    if (!can_) {
      site_.alarms.raise(
          kAlarm, "the rules say unique: keep, which needs MongoDB 6.0, and this is " +
                      info->version + ": what shares a key is parked here, and shown elsewhere");
    }
  }
  return can_;
}

Status KeptKeys::write(outbox::Batch&& batch) {
  if (batch.empty()) return {};
  return outbox_.write(std::move(batch));
}

void KeptKeys::tell_once(const RelaxedIndex& index, const std::string& what) {
  if (!told_.insert(key_of(index)).second || !warn_) return;
  warn_(said_of(index) + " " + what);
}

// ---- open and closed

Result<KeptKeys::Opened> KeptKeys::open(const std::string& ns, const std::string& index) {
  const bool is_open = std::any_of(open_.begin(), open_.end(), [&](const RelaxedIndex& each) {
    return each.ns == ns && each.name() == index;
  });
  if (is_open) return Opened::kLater;  // and refuses all the same
  auto there = store_.key_index(ns, index);
  if (!there) return tl::unexpected(there.error());
  std::optional<RelaxedIndex> note = site_.kept.relaxed(ns, index);
  if (note && site_.kept.is_dropped(*note)) {
    if (Status forgotten = forget(*note); !forgotten) return tl::unexpected(forgotten.error());
    note.reset();
  }
  if (!*there) {
    if (note && !note->is_made) return relax(std::move(*note));
    return Opened::kOpen;  // it is gone, and refuses nothing
  }
  if ((*there)->is_being_built) return Opened::kLater;
  const bool has_note = note && (*there)->guard != KeyGuard::kAll;
  if (!has_note) {
    note = RelaxedIndex{ns, (*there)->spec, false};
  }
  const bool is_noted = is_same_index(Document(note->spec), Document((*there)->spec));
  const bool is_ours = has_note ? is_noted : (*there)->guard == KeyGuard::kAll;
  if (!is_ours) {
    tell_once(*note, "is none: an app has prepared it itself, and decides what becomes of it");
    return Opened::kNot;
  }
  return relax(std::move(*note));
}

Result<KeptKeys::Opened> KeptKeys::make_ready(const std::string& ns) {
  for (const RelaxedIndex& index : site_.kept.relaxed_in(ns)) {
    if (index.is_made || site_.kept.is_dropped(index)) continue;
    const auto opened = open(ns, index.name());
    if (!opened || *opened == Opened::kLater) return opened;
  }
  return Opened::kOpen;
}

// It was tried in vain a while ago.
bool KeptKeys::is_paused(const RelaxedIndex& index) const {
  const auto not_before = not_before_.find(key_of(index));
  return not_before != not_before_.end() && site_.context.clock.wall_ms() < not_before->second;
}

// What it was is on disk before it is touched. Who is refused waits: nobody makes room for it.
Result<KeptKeys::Opened> KeptKeys::relax(RelaxedIndex index) {
  if (site_.kept.relaxed(index.ns, index.name()) != index) {
    outbox::Batch batch;
    site_.kept.put(batch, index);
    if (Status written = write(std::move(batch)); !written) return tl::unexpected(written.error());
    if (Status synced = sync_now(commit_); !synced) return tl::unexpected(synced.error());
  }
  if (is_paused(index)) return Opened::kLater;
  auto guarded = store_.set_guard(index.ns, index.spec, KeyGuard::kNone);
  if (!guarded) open_.push_back(index);  // or it is away
  if (!guarded) return tl::unexpected(guarded.error());
  if (guarded->code == GuardChange::kInProgress) return Opened::kLater;
  if (!guarded->ok()) {
    site_.alarms.raise(
        alarm_of(index),
        said_of(index) + " cannot be relaxed, and documents wait: " + guarded->message);
    not_before_[key_of(index)] = site_.context.clock.wall_ms() + kAgainMs;
    site_.kept.look_again();
    return Opened::kLater;
  }
  site_.alarms.calm(alarm_of(index));
  open_.push_back(index);
  if (!index.is_made) {
    index.is_made = true;
    outbox::Batch batch;
    site_.kept.put(batch, index);
    if (Status written = write(std::move(batch)); !written) return tl::unexpected(written.error());
  }
  return Opened::kOpen;
}

Status KeptKeys::close() {
  if (open_.empty()) return {};
  std::vector<RelaxedIndex> left;
  for (const RelaxedIndex& index : open_) {
    auto guarded = store_.set_guard(index.ns, index.spec, KeyGuard::kNew);
    if (!guarded) return tl::unexpected(guarded.error());
    if (guarded->code == GuardChange::kInProgress) left.push_back(index);
    if (guarded->code != GuardChange::kInProgress) note_closing(index, *guarded);
  }
  if (Status journaled = store_.wait_journaled(); !journaled) return journaled;
  if (Status admitted = admitted_(); !admitted) return admitted;
  open_ = std::move(left);
  if (open_.empty()) return {};
  return fail(ErrorCode::kRefused, "close an index", open_.front().ns, "it is being changed");
}

// What the store refuses to close is tried at every step. The collection is not locked meanwhile:
// what comes to share a key is found when the index is made unique, and nobody is kept from writing
// for as long as a right is missing.
void KeptKeys::note_closing(const RelaxedIndex& index, const GuardChange& guarded) {
  if (guarded.ok() || guarded.code == kNoNamespace) {
    if (unclosed_.erase(key_of(index)) > 0) site_.alarms.calm(alarm_of(index));
    return;
  }
  unclosed_.insert_or_assign(key_of(index), index);
  site_.alarms.raise(alarm_of(index),
                     said_of(index) + " refuses no duplicates now: " + guarded.message);
}

Status KeptKeys::close_again() {
  const std::map<std::string, RelaxedIndex> unclosed = unclosed_;
  for (const auto& [key, index] : unclosed) {
    if (site_.kept.is_dropped(index)) {
      note_closing(index, GuardChange());
      continue;
    }
    auto there = store_.key_index(index.ns, index.name());
    if (!there && there.error().code == ErrorCode::kRefused) continue;
    if (!there) return tl::unexpected(there.error());
    if (!*there || (*there)->guard != KeyGuard::kNone) {
      note_closing(index, GuardChange());
      continue;
    }
    auto guarded = store_.set_guard(index.ns, index.spec, KeyGuard::kNew);
    if (!guarded && guarded.error().code == ErrorCode::kRefused) continue;
    if (!guarded) return tl::unexpected(guarded.error());
    if (guarded->code != GuardChange::kInProgress) note_closing(index, *guarded);
  }
  return {};
}

Status KeptKeys::note(const std::string& ns, const std::string& document, outbox::Batch& batch) {
  for (const RelaxedIndex& index : site_.kept.relaxed_in(ns)) {
    if (site_.kept.is_dropped(index)) continue;
    if (Status noted = entries_.note_in(ns, document, index, batch); !noted) return noted;
  }
  return {};
}

// ---- looking again

Result<bool> KeptKeys::step(std::vector<KeptDocument>& disputed) {
  if (site_.kept.empty()) {
    (void)site_.kept.take_reason();
    return false;
  }
  if (Status followed = follow_run(); !followed) return tl::unexpected(followed.error());
  if (Status closed = close_again(); !closed) return tl::unexpected(closed.error());
  if (cursor_.empty() && !site_.kept.take_reason()) return false;
  if (Status admitted = admitted_(); !admitted) return tl::unexpected(admitted.error());
  for (const KeptDocument& each : site_.kept.next(cursor_, kLookedAtOnce)) {
    if (Status looked = look_at(each, disputed); !looked) return tl::unexpected(looked.error());
  }
  if (!cursor_.empty()) return true;
  for (const RelaxedIndex& index : site_.kept.all_relaxed()) {
    if (site_.kept.has_kept(index)) continue;
    if (Status retired = retire(index); !retired) return tl::unexpected(retired.error());
  }
  return false;
}

Status KeptKeys::look_at(const KeptDocument& document, std::vector<KeptDocument>& disputed) {
  const auto index = site_.kept.relaxed(document.ns, document.index);
  auto stored = store_.read(document.ns, std::span(&document.id, 1));
  const bool is_there = stored && stored->front();
  if (!stored && stored.error().code == ErrorCode::kRefused) return {};
  if (!stored && stored.error().code != ErrorCode::kInvalidArgument) {
    return tl::unexpected(stored.error());
  }
  outbox::Batch batch;
  if (!is_there || !index || site_.kept.is_dropped(*index)) {
    if (Status resolved = entries_.resolve(document, batch); !resolved) return resolved;
    return write(std::move(batch));
  }
  if (Status noted = entries_.note_in(document.ns, *stored->front(), *index, batch); !noted)
    return noted;
  if (Status written = write(std::move(batch)); !written) return written;
  const auto still = site_.kept.kept(document.row_key(), document.index);
  if (still && !is_to_keep(document.ns)) disputed.push_back(*still);
  return {};
}

// ---- indexes are what they are to be

Status KeptKeys::put_right() {
  bool changed = false;
  for (const RelaxedIndex& index : site_.kept.all_relaxed()) {
    if (Status put = put_right(index, changed); !put) return put;
  }
  if (changed) {
    if (Status journaled = store_.wait_journaled(); !journaled) return journaled;
  }
  run_ = store_.process_id();
  return {};
}

// What another run of the store may have forgotten.
Status KeptKeys::follow_run() {
  if (run_ == store_.process_id()) return {};
  if (Status admitted = admitted_(); !admitted) return admitted;
  return put_right();
}

Status KeptKeys::put_right(const RelaxedIndex& index, bool& changed) {
  if (site_.kept.is_dropped(index)) return {};
  auto there = store_.key_index(index.ns, index.name());
  if (!there) return tl::unexpected(there.error());
  const bool is_away = !*there && !index.is_made;
  const bool is_open = *there && !(*there)->is_being_built && (*there)->guard == KeyGuard::kNone;
  if (!is_away && !is_open) return {};
  auto guarded = store_.set_guard(index.ns, index.spec, KeyGuard::kNew);
  if (!guarded) return tl::unexpected(guarded.error());
  changed = changed || guarded->ok();
  if (guarded->code == kNoNamespace) return forget(index);
  if (guarded->code == GuardChange::kInProgress && !is_open) return {};
  note_closing(index, *guarded);
  if (!guarded->ok() || index.is_made) return {};
  RelaxedIndex made = index;
  made.is_made = true;
  outbox::Batch batch;
  site_.kept.put(batch, made);
  return write(std::move(batch));
}

// No document is left that shares a key there: it is unique again.
Status KeptKeys::retire(const RelaxedIndex& index) {
  if (site_.kept.is_dropped(index)) return forget(index);
  if (site_.aside.has_parked_in(index.ns)) return {};  // they may have to come in
  auto there = store_.key_index(index.ns, index.name());
  if (!there) return tl::unexpected(there.error());
  if (*there && (*there)->is_being_built) return {};
  if (!*there && index.is_made) return forget(index);
  bool changed = false;
  if (!*there || (*there)->guard == KeyGuard::kNone) return put_right(index, changed);
  if ((*there)->guard != KeyGuard::kAll) {
    if (is_paused(index)) return {};
    auto guarded = store_.set_guard(index.ns, index.spec, KeyGuard::kAll);
    if (!guarded) return tl::unexpected(guarded.error());
    if (guarded->code == GuardChange::kInProgress) return {};
    if (!guarded->ok()) {
      not_before_[key_of(index)] = site_.context.clock.wall_ms() + kAgainMs;
      return note_duplicates(index, *guarded);
    }
  }
  // Not before no crash and no election takes that back.
  const Status settled = store_.wait_settled();
  if (!settled && settled.error().code == ErrorCode::kTimeout) return {};
  if (!settled) return settled;
  if (Status admitted = admitted_(); !admitted) return admitted;
  return forget(index);
}

Status KeptKeys::note_duplicates(const RelaxedIndex& index, const GuardChange& found) {
  outbox::Batch batch;
  for (const std::vector<bson::OwnedValue>& ids : found.duplicates) {
    auto documents = store_.read(index.ns, ids);
    if (!documents) return tl::unexpected(documents.error());
    for (const std::optional<std::string>& document : *documents) {
      if (!document) continue;
      if (Status noted = entries_.note_in(index.ns, *document, index, batch); !noted) return noted;
    }
  }
  if (batch.empty()) tell_once(index, "cannot be made unique again: " + found.message);
  return write(std::move(batch));
}

Status KeptKeys::forget(const RelaxedIndex& index) {
  outbox::Batch batch;
  site_.kept.remove(batch, index);
  told_.erase(key_of(index));
  not_before_.erase(key_of(index));
  site_.alarms.calm(alarm_of(index));
  site_.kept.look_again();
  return write(std::move(batch));
}

// What it takes away, or makes another, is not ours any more.
void KeptKeys::told(const StoreWrite& write) {
  if (write.id.type != bson::Type::kString) return;
  CatalogEntry entry;
  entry.ns = std::string(write.id.view().as_string());
  const std::vector<RelaxedIndex> relaxed = site_.kept.relaxed_in(entry.ns);
  if (relaxed.empty()) return;
  for (const RelaxedIndex& each : relaxed) {
    const std::string unique = with_guard(Document(each.spec), KeyGuard::kAll);
    entry.indexes.emplace(each.name(), catalog_index(Document(unique)));
  }
  if (write.kind == StoreWrite::Kind::kRemove) entry.indexes.clear();
  if (!write.document.empty()) {
    if (auto whole = catalog_entry(Document(write.document))) entry = std::move(*whole);
  }
  for (const Path& path : write.unset) (void)unset_in_catalog(entry, path);
  for (const StoreWrite::Set& set : write.set) (void)set_in_catalog(entry, set.path, set.value);
  for (const RelaxedIndex& each : relaxed) {
    const auto after = entry.indexes.find(each.name());
    const auto spec = after == entry.indexes.end()
                          ? std::nullopt
                          : std::optional(index_spec(after->first, after->second));
    const bool stays = spec && *spec && guard_of(Document(**spec)) == KeyGuard::kAll &&
                       is_same_index(Document(each.spec), Document(**spec));
    if (!stays) site_.kept.dropped(each.ns, each.name());
  }
  site_.kept.look_again();
}

}  // namespace outrigger
