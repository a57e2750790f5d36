#include "replication/kept/kept_guards.h"

#include <algorithm>
#include <utility>

namespace outrigger {
namespace {

using bson::Document;

constexpr int64_t kAgainMs = 30'000;  // what was in vain
constexpr int64_t kAgainMsMax = 3'600'000;
constexpr int64_t kCloseAgainMs = 2'000;  // it refuses nothing until then
constexpr int32_t kNoNamespace = 26;

std::string key_of(const RelaxedIndex& index) { return index.ns + '\0' + index.name(); }

std::string alarm_of(const RelaxedIndex& index) {
  return "unique: keep " + index.ns + " " + index.name();
}

std::string said_of(const RelaxedIndex& index) {
  return "the unique index " + index.name() + " of " + index.ns;
}

bool is_waited_for(const GuardChange& guarded) { return guarded.code == GuardChange::kInProgress; }

// The lock of an entry, for as long as this lives.
class HeldEntry {
 public:
  HeldEntry(const EntryLock& lock, const std::string& ns) : lock_(lock), held_(lock.take(ns)) {}
  ~HeldEntry() {
    if (held_) lock_.release();
  }
  HeldEntry(const HeldEntry&) = delete;
  HeldEntry& operator=(const HeldEntry&) = delete;
  explicit operator bool() const { return held_; }

 private:
  const EntryLock& lock_;
  const bool held_;
};

}  // namespace

void KeptGuards::tell_once(const RelaxedIndex& index, const std::string& what) {
  if (!told_.insert(key_of(index)).second || !warn_) return;
  warn_(said_of(index) + " " + what);
}

bool KeptGuards::is_paused(const RelaxedIndex& index, Aim aim) const {
  const auto pause = pauses_.find({key_of(index), aim});
  return pause != pauses_.end() && site_.context.clock.wall_ms() < pause->second.until_ms;
}

// Twice as long each time: an index that is dropped to no end refuses nothing until it is back.
void KeptGuards::pause(const RelaxedIndex& index, Aim aim) {
  Pause& pause = pauses_[{key_of(index), aim}];
  pause.index = index;
  pause.ms = aim == Aim::kClosed ? kCloseAgainMs : std::clamp(2 * pause.ms, kAgainMs, kAgainMsMax);
  pause.until_ms = site_.context.clock.wall_ms() + pause.ms;
}

bool KeptGuards::is_suspect(const RelaxedIndex& index) const {
  return !looked_at_.contains(key_of(index));
}

void KeptGuards::looked_at(const RelaxedIndex& index) { looked_at_.insert(key_of(index)); }

std::string KeptGuards::why(const GuardChange& guarded) {
  const auto info = store_.info();
  if (!info || info->can_guard()) return guarded.message;
  return guarded.message + "; this is MongoDB " + info->version +
         (info->feature_version.empty()
              ? std::string()
              : " at featureCompatibilityVersion " + info->feature_version) +
         ", and it needs 6.0 (see setFeatureCompatibilityVersion)";
}

void KeptGuards::sweep() {
  const auto is_gone = [&](const RelaxedIndex& index) {
    const bool is_ours = site_.kept.relaxed(index.ns, index.name()).has_value();
    if (!is_ours) site_.alarms.calm(alarm_of(index));
    return !is_ours;
  };
  std::erase_if(pauses_, [&](const auto& each) { return is_gone(each.second.index); });
  std::erase_if(unclosed_, [&](const auto& each) { return is_gone(each.second); });
}

Status KeptGuards::note(const RelaxedIndex& index) {
  KeptChanges changes;
  changes.put(index);
  return entries_.write(changes);
}

Status KeptGuards::forget(const RelaxedIndex& index) {
  KeptChanges changes;
  changes.remove(index);
  if (Status written = entries_.write(changes); !written) return written;
  told_.erase(key_of(index));
  looked_at_.erase(key_of(index));
  sweep();
  site_.kept.look_again();
  return {};
}

// ---- open and closed

Result<Opened> KeptGuards::open(const std::string& ns, const std::string& index) {
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
    looked_at(*note);  // it is unique
  }
  const bool is_noted = is_same_index(Document(note->spec), Document((*there)->spec));
  const bool is_ours = has_note ? is_noted : (*there)->guard == KeyGuard::kAll;
  if (!is_ours) {
    tell_once(*note, "is none: an app has prepared it itself, and decides what becomes of it");
    return Opened::kNot;
  }
  return relax(std::move(*note));
}

Result<Opened> KeptGuards::make_ready(const std::string& ns) {
  for (const RelaxedIndex& index : site_.kept.relaxed_in(ns)) {
    if (index.is_made || site_.kept.is_dropped(index)) continue;
    auto there = store_.key_index(ns, index.name());
    if (!there) return tl::unexpected(there.error());
    // What it was: whom it refuses, it refuses.
    if (*there && !(*there)->is_being_built && (*there)->guard == KeyGuard::kAll) continue;
    const auto opened = open(ns, index.name());
    if (!opened || *opened == Opened::kLater) return opened;
  }
  return Opened::kOpen;
}

// What it was is on disk before it is touched. Who is refused waits: nobody makes room for it.
Result<Opened> KeptGuards::relax(RelaxedIndex index) {
  if (site_.kept.relaxed(index.ns, index.name()) != index) {
    if (Status noted = note(index); !noted) return tl::unexpected(noted.error());
  }
  // Also by who has noted it before, and could not sync.
  if (Status synced = sync_now(commit_); !synced) return tl::unexpected(synced.error());
  if (is_paused(index, Aim::kOpened)) return Opened::kLater;
  auto guarded = store_.set_guard(index.ns, index.spec, KeyGuard::kNone);
  if (!guarded) open_.push_back(index);  // or it is away
  if (!guarded) return tl::unexpected(guarded.error());
  if (!guarded->ok()) return not_relaxed(index, *guarded);
  site_.alarms.calm(alarm_of(index));
  pauses_.erase({key_of(index), Aim::kOpened});
  open_.push_back(index);
  if (!index.is_made) {
    index.is_made = true;
    if (Status noted = note(index); !noted) return tl::unexpected(noted.error());
  }
  return Opened::kOpen;
}

Result<Opened> KeptGuards::not_relaxed(const RelaxedIndex& index, const GuardChange& guarded) {
  looked_at_.erase(key_of(index));
  if (is_waited_for(guarded)) return Opened::kLater;
  const char* what = guarded.is_away ? " is away, and cannot be made: "
                                     : " cannot be relaxed, and documents wait: ";
  site_.alarms.raise(alarm_of(index), said_of(index) + what + why(guarded));
  if (guarded.is_away) unclosed_.insert_or_assign(key_of(index), index);
  pause(index, Aim::kOpened);
  site_.kept.look_again();
  return Opened::kLater;
}

Status KeptGuards::close() {
  if (open_.empty()) return {};
  std::vector<RelaxedIndex> left;
  for (const RelaxedIndex& index : open_) {
    auto guarded = store_.set_guard(index.ns, index.spec, KeyGuard::kNew);
    if (!guarded) return tl::unexpected(guarded.error());
    if (is_waited_for(*guarded)) left.push_back(index);
    if (!is_waited_for(*guarded)) note_closing(index, *guarded);
  }
  if (Status journaled = store_.wait_journaled(); !journaled) return journaled;
  if (Status admitted = admitted_(); !admitted) return admitted;
  open_ = std::move(left);
  if (open_.empty()) return {};
  return fail(ErrorCode::kRefused, "close an index", open_.front().ns, "it is being changed");
}

// What the store refuses to close is tried every few seconds. The collection is not locked
// meanwhile: what comes to share a key is found once it is closed, and nobody is kept from writing
// for as long as a right is missing.
void KeptGuards::note_closing(const RelaxedIndex& index, const GuardChange& guarded) {
  if (guarded.ok() || guarded.code == kNoNamespace) {
    if (unclosed_.erase(key_of(index)) > 0) site_.alarms.calm(alarm_of(index));
    return;
  }
  looked_at_.erase(key_of(index));
  pause(index, guarded.is_away ? Aim::kOpened : Aim::kClosed);
  unclosed_.insert_or_assign(key_of(index), index);
  const char* what =
      guarded.is_away ? " is away, and cannot be made: " : " refuses no duplicates now: ";
  site_.alarms.raise(alarm_of(index), said_of(index) + what + why(guarded));
}

// ---- what is not as it should be

Status KeptGuards::look_again() {
  if (run_ != store_.process_id()) {
    if (Status admitted = admitted_(); !admitted) return admitted;
    if (Status put = put_right(); !put) return put;
  }
  const std::map<std::string, RelaxedIndex> unclosed = unclosed_;
  for (const auto& [key, index] : unclosed) {
    const Status closed = close_again(index);
    if (!closed && closed.error().code != ErrorCode::kRefused) return closed;
  }
  return {};
}

Status KeptGuards::close_again(const RelaxedIndex& index) {
  const auto note = site_.kept.relaxed(index.ns, index.name());
  if (!note || site_.kept.is_dropped(*note)) {
    note_closing(index, GuardChange());
    return {};
  }
  const HeldEntry entry(lock_, index.ns);
  if (!entry) return {};
  auto there = store_.key_index(index.ns, index.name());
  if (!there) return tl::unexpected(there.error());
  const bool is_away = !*there && !note->is_made;
  if (is_paused(index, is_away ? Aim::kOpened : Aim::kClosed)) return {};
  if (!is_away && (!*there || (*there)->guard != KeyGuard::kNone)) {
    note_closing(index, GuardChange());
    return {};
  }
  bool changed = false;
  return make_right(*note, changed);
}

// What another run of the store may have forgotten: asked of one run from its beginning to its end.
Status KeptGuards::put_right() {
  const std::string run = store_.process_id();
  bool changed = false;
  bool left = false;
  for (const RelaxedIndex& index : site_.kept.all_relaxed()) {
    if (Status put = put_right(index, changed, left); !put) return put;
  }
  if (changed) {
    if (Status journaled = store_.wait_journaled(); !journaled) return journaled;
  }
  if (!left && run == store_.process_id()) run_ = run;
  return {};
}

Status KeptGuards::put_right(const RelaxedIndex& index, bool& changed, bool& left) {
  const HeldEntry entry(lock_, index.ns);
  left = left || !entry;
  if (!entry || site_.kept.is_dropped(index)) return {};
  return make_right(index, changed);
}

// Under its lock: one that is open is closed, and one that is away is made.
Status KeptGuards::make_right(const RelaxedIndex& index, bool& changed) {
  auto there = store_.key_index(index.ns, index.name());
  if (!there) return tl::unexpected(there.error());
  const bool is_away = !*there && !index.is_made;
  const bool is_open = *there && !(*there)->is_being_built && (*there)->guard == KeyGuard::kNone;
  if (!is_away && !is_open) return {};
  if (is_paused(index, is_away ? Aim::kOpened : Aim::kClosed)) return {};
  looked_at_.erase(key_of(index));
  auto guarded = store_.set_guard(index.ns, index.spec, KeyGuard::kNew);
  if (!guarded) return tl::unexpected(guarded.error());
  changed = changed || guarded->ok();
  site_.kept.look_again();
  if (guarded->code == kNoNamespace) return forget(index);
  if (is_waited_for(*guarded)) {
    if (is_open) unclosed_.insert_or_assign(key_of(index), index);
    return {};
  }
  note_closing(index, *guarded);
  if (!guarded->ok() || index.is_made) return {};
  RelaxedIndex made = index;
  made.is_made = true;
  return note(made);
}

// ---- unique again

Result<GuardChange> KeptGuards::retire(const RelaxedIndex& index) {
  if (site_.aside.has_parked_in(index.ns)) return GuardChange();  // they may have to come in
  bool is_unique = false;
  auto guarded = make_unique(index, is_unique);
  if (!guarded || !is_unique) return guarded;
  // Not before no crash and no election takes that back.
  const Status settled = store_.wait_settled();
  if (!settled && settled.error().code == ErrorCode::kTimeout) return GuardChange();
  if (!settled) return tl::unexpected(settled.error());
  if (Status admitted = admitted_(); !admitted) return tl::unexpected(admitted.error());
  if (Status forgotten = forget(index); !forgotten) return tl::unexpected(forgotten.error());
  return GuardChange();
}

Result<GuardChange> KeptGuards::make_unique(const RelaxedIndex& index, bool& is_unique) {
  const auto ended = [](Status status) -> Result<GuardChange> {
    if (!status) return tl::unexpected(status.error());
    return GuardChange();
  };
  const HeldEntry entry(lock_, index.ns);
  if (!entry) {
    site_.kept.look_again();
    return GuardChange();
  }
  if (site_.kept.is_dropped(index)) return ended(forget(index));
  auto there = store_.key_index(index.ns, index.name());
  if (!there) return tl::unexpected(there.error());
  if (*there && (*there)->is_being_built) return GuardChange();
  if (!*there && index.is_made) return ended(forget(index));
  bool changed = false;
  if (!*there || (*there)->guard == KeyGuard::kNone) return ended(make_right(index, changed));
  is_unique = (*there)->guard == KeyGuard::kAll;
  if (is_unique || is_paused(index, Aim::kMadeUnique)) return GuardChange();
  auto guarded = store_.set_guard(index.ns, index.spec, KeyGuard::kAll);
  if (!guarded || is_waited_for(*guarded)) return guarded ? GuardChange() : guarded;
  is_unique = guarded->ok();
  const bool tells = guarded->code == GuardChange::kHasDuplicates && is_suspect(index);
  if (!guarded->ok() && !tells) pause(index, Aim::kMadeUnique);
  return guarded;
}

}  // namespace outrigger
