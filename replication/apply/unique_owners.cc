#include "replication/apply/unique_owners.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>
#include <utility>

#include "replication/apply/apply_gatherer.h"
#include "replication/apply/apply_notes.h"
#include "replication/merge/row.h"
#include "replication/site/site_parts.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kDocumentsAtOnce = 16;  // the stream waits meanwhile
constexpr size_t kRoundsMax = 100;       // of making room for one document
constexpr int kTriesMax = 20;            // before an obstacle is looked at anew

// Of what the store lets nobody ask about this one, while it answers others.
bool is_of_the_document(const Error& error) {
  return error.code == ErrorCode::kRefused || error.code == ErrorCode::kInvalidArgument;
}

}  // namespace

// No batch is under way when it is asked for: nothing else is held.
EntryLock UniqueOwners::entry_lock(ApplyLocks& locks) {
  return {[&locks](const std::string& ns) { return locks.take_entry(ns); },
          [&locks] { locks.release(); }};
}

// For who may forget claims (site/collection.h). What cannot be told now is asked again.
void UniqueOwners::note_indexes() {
  for (const std::string& ns : site_.aside.without_indexes()) {
    const auto info = store_.collection(ns);
    site_.aside.note_unique_index(
        ns, info ? std::optional(!info->unique_fields.empty()) : std::nullopt);
  }
}

Result<bool> UniqueOwners::step() {
  if (Status closed = shut(); !closed) {
    if (is_of_the_document(closed.error())) return false;  // others than of that collection go on
    return tl::unexpected(closed.error());
  }
  note_indexes();
  const auto looked = look_at_kept();
  if (!looked) return tl::unexpected(looked.error());
  if (site_.aside.parked_due("", 1).empty()) {
    locks_.leave_line();  // who stood there is decided about, and nobody would take its turn
    return *looked;
  }
  if (Status admitted = is_admitted(store_, options_); !admitted) {
    return tl::unexpected(admitted.error());
  }
  const std::string waiting = locks_.waits_in_line();
  auto claimants = due(waiting);
  if (!claimants) return tl::unexpected(claimants.error());
  const bool is_due = std::any_of(claimants->begin(), claimants->end(),
                                  [&](const Claimant& each) { return each.row_key == waiting; });
  if (!waiting.empty() && !is_due) locks_.leave_line();
  bool done = *looked;
  for (Claimant& each : *claimants) {
    const auto settled = settle_locked(each, each.row_key == waiting);
    if (!settled && is_of_the_document(settled.error())) {
      site_.aside.taken(each.row_key);  // until it is tried again
      tell_once(each, "stays parked: " + settled.error().message());
      continue;
    }
    if (!settled) return tl::unexpected(settled.error());
    done = done || *settled == Settled::kDone;
  }
  return done;
}

// Under its lock; nobody may write to the collection while an index of it is open.
Result<UniqueOwners::Settled> UniqueOwners::settle_locked(Claimant& one, bool is_in_line) {
  const auto keeps = kept_.keeps(one.ns);
  if (!keeps) return tl::unexpected(keeps.error());
  // What it stands in line for may not be what the rules of now ask for.
  if (is_in_line && *keeps != locks_.waits_for_all()) {
    locks_.leave_line();
    is_in_line = false;
  }
  const LockedDocument document{one.ns, one.id};
  bool has_locks = false;
  if (is_in_line) {
    has_locks = locks_.take_line();
  } else if (*keeps) {
    has_locks = locks_.take_all_or_wait(one.row_key, one.ns);
  } else {
    has_locks = locks_.take_or_wait(one.row_key, std::span(&document, 1));
  }
  if (!has_locks) return Settled::kWaits;
  auto settled = settle(one, *keeps ? Rule::kKeep : Rule::kPark);
  if (kept_.has_open()) {
    std::vector<HeldLocks> held = locks_.hand_over();
    std::move(held.begin(), held.end(), std::back_inserter(shut_out_));
    const Status closed = shut();
    if (!closed && !is_of_the_document(closed.error())) settled = tl::unexpected(closed.error());
  }
  locks_.release();
  return settled;
}

// An index that stood open when the store went away is closed before anybody writes there.
Status UniqueOwners::shut() {
  if (!kept_.has_open()) return {};
  if (Status admitted = is_admitted(store_, options_); !admitted) return admitted;
  if (Status closed = kept_.close(); !closed) return closed;
  shut_out_.clear();
  return {};
}

Result<bool> UniqueOwners::look_at_kept() {
  std::vector<KeptDocument> disputed;
  auto more = kept_.step(disputed);
  if (!more) {
    site_.kept.look_again();
    return more;
  }
  for (const KeptDocument& each : disputed) {
    const Status decided = dispute(each);
    locks_.release();
    if (!decided && !is_of_the_document(decided.error())) return tl::unexpected(decided.error());
  }
  return more;
}

// Some of them, the next ones each time, and who waits in line; in the order in which they are to
// be decided.
Result<std::vector<Claimant>> UniqueOwners::due(const std::string& waiting) {
  std::vector<Claimant> claimants;
  std::map<std::string, Aside> some = site_.aside.parked_due(cursor_, kDocumentsAtOnce);
  if (some.empty()) some = site_.aside.parked_due("", kDocumentsAtOnce);
  cursor_ = some.empty() ? std::string() : some.rbegin()->first;
  if (site_.aside.is_due(waiting)) some.emplace(waiting, *site_.aside.find(waiting));
  for (const auto& [key, aside] : some) {
    auto bytes = outbox_.ledger(aside.ledger_key);
    if (!bytes) return tl::unexpected(bytes.error());
    if (!*bytes) continue;
    auto entry = decode_ledger(**bytes);
    if (!entry) return tl::unexpected(entry.error());
    Claimant one;
    one.row_key = key;
    one.ns = entry->ns;
    one.id = entry->id;
    const Status read = claimants_.read_row(one);
    if (read) claimants.push_back(std::move(one));
    if (!read && is_of_the_document(read.error())) site_.aside.taken(key);
    if (!read && !is_of_the_document(read.error())) return tl::unexpected(read.error());
  }
  std::sort(claimants.begin(), claimants.end(), [](const Claimant& a, const Claimant& b) {
    return std::tie(a.ns, a.claim) < std::tie(b.ns, b.claim);
  });
  return claimants;
}

// What the rule cannot help, or not now.
void UniqueOwners::tell_once(const Claimant& of, const std::string& what) {
  if (!told_.insert(of.row_key).second || !options_.warn) return;
  options_.warn("a document of " + of.ns + ", _id " + bson::to_json(of.id.view()) + ", " + what);
}

// ---- one document, under its lock

Result<UniqueOwners::Settled> UniqueOwners::settle(Claimant& one, Rule rule) {
  if (Status read = claimants_.read_row(one); !read) return tl::unexpected(read.error());
  if (!one.is_parked()) return Settled::kDone;  // decided otherwise meanwhile
  if (rule == Rule::kKeep) {
    const auto ready = kept_.make_ready(one.ns);
    if (!ready) return tl::unexpected(ready.error());
    if (*ready == Opened::kLater) return later(one);
  }
  auto there = claimants_.stored(one);
  if (!there) return tl::unexpected(there.error());
  ApplyDocument merged;
  merged.ns = one.ns;
  merged.id = one.id;
  merged.canonical_id = one.claim.canonical_id;
  merged.row = one.row;
  const auto document = *there ? std::optional(bson::Document(**there)) : std::nullopt;
  if (auto done = merge_document(merged, document, true); !done) {
    return tl::unexpected(done.error());
  }
  std::vector<const StoreWrite*> writes;
  for (const auto& [position, write] : merged.writes) writes.push_back(&write);
  one.document = written(*there, writes);
  if (!writes.empty()) return contend(one, merged, there->has_value(), rule);
  // It was put there by a call whose answer was lost: no journal need have it yet.
  if (Status journaled = store_.wait_journaled(); !journaled) {
    return tl::unexpected(journaled.error());
  }
  if (Status admitted = is_admitted(store_, options_); !admitted) {
    return tl::unexpected(admitted.error());
  }
  if (Status back = come_back(one, merged, WriteOutcome(), rule); !back) {
    return tl::unexpected(back.error());
  }
  return Settled::kDone;
}

// Until it is tried again.
UniqueOwners::Settled UniqueOwners::later(const Claimant& one) {
  site_.aside.taken(one.row_key);
  return Settled::kWaits;
}

// It is not in the store as it is to be.
Result<UniqueOwners::Settled> UniqueOwners::contend(Claimant& one, const ApplyDocument& merged,
                                                    bool is_there, Rule rule) {
  const auto ended = [](Status status) -> Result<Settled> {
    if (!status) return tl::unexpected(status.error());
    return Settled::kDone;
  };
  bool made_room = false;
  for (size_t round = 0; round < kRoundsMax; ++round) {
    auto outcome = claimants_.write(one, one.document);
    if (!outcome) return tl::unexpected(outcome.error());
    if (outcome->ok()) return ended(come_back(one, merged, *outcome, rule));
    const std::string index = unique_index_of(*outcome);
    if (index.empty() || !one.document) return ended(claimants_.refile(one, *outcome));
    if (rule == Rule::kKeep) {
      const auto opened = kept_.open(one.ns, index);
      if (!opened) return tl::unexpected(opened.error());
      if (*opened == Opened::kLater) return later(one);
      if (*opened == Opened::kOpen) continue;
    }
    auto held_by = claimants_.holders(one, index);
    if (!held_by) return tl::unexpected(held_by.error());
    if (held_by->empty()) {
      tell_once(one,
                "is parked by the unique index " + index + ", and no other holds its key there");
      break;
    }
    const auto owner = before(one, *held_by);
    if (!owner) return tl::unexpected(owner.error());
    if (*owner != nullptr) {
      if (made_room) obstacles_[one.row_key] = {**owner, one.claim};
      return ended(claimants_.stay(one, *owner, is_there));
    }
    auto room = make_room(one, index, *held_by);
    if (!room) return tl::unexpected(room.error());
    if (!*room) return Settled::kWaits;
    made_room = true;
  }
  // Whoever held the key has gone by now, or cannot be found: it is tried again in a while.
  return ended(claimants_.stay(one, nullptr, is_there));
}

// One that must not make room. What is parked, and not gone from the store yet, always does; what
// is set aside for another reason stays where it is.
Result<const Claimant*> UniqueOwners::before(const Claimant& one,
                                             const std::vector<Claimant>& holders) {
  for (const Claimant& holder : holders) {
    if (holder.is_parked()) continue;
    if (holder.aside || holder.claim < one.claim) return &holder;
  }
  const auto known = obstacles_.find(one.row_key);
  if (known == obstacles_.end()) return nullptr;
  const Claimant& then = known->second.holder;
  const bool is_old = ++known->second.tries > kTriesMax || known->second.claim != one.claim;
  Claimant now = then;
  if (Status read = claimants_.read_row(now); !read) return tl::unexpected(read.error());
  auto document = claimants_.stored(now);
  if (!document) return tl::unexpected(document.error());
  if (!is_old && *document && now.claim == then.claim) return &then;
  obstacles_.erase(known);
  return nullptr;
}

// It shares a key, and is not to any more: the first to hold it stays. Where nothing is known of
// when two of them came to hold it, nobody decides, and both are shown.
Status UniqueOwners::dispute(const KeptDocument& kept) {
  Claimant one;
  one.ns = kept.ns;
  one.id = kept.id;
  one.row_key = kept.row_key();
  if (Status read = claimants_.read_row(one); !read) return read;
  auto document = claimants_.stored(one);
  if (!document) return tl::unexpected(document.error());
  if (!*document) return {};
  one.document = std::move(*document);
  auto all = claimants_.holders(one, kept.index);
  if (!all) return tl::unexpected(all.error());
  all->push_back(std::move(one));
  const auto forgotten = std::count_if(
      all->begin(), all->end(), [](const Claimant& each) { return each.claim.dot.is_zero(); });
  if (all->size() < 2 || forgotten > 1) return {};
  std::sort(all->begin(), all->end(),
            [](const Claimant& a, const Claimant& b) { return a.claim < b.claim; });
  const Claimant owner = std::move(all->front());
  all->erase(all->begin());
  const auto room = make_room(owner, kept.index, *all);
  if (!room) return tl::unexpected(room.error());
  site_.kept.look_again();
  return {};
}

// False: not now, as some are locked. Who holds the key is asked again under the locks: an app may
// have moved it meanwhile, and nobody is parked who is in nobody's way.
Result<bool> UniqueOwners::make_room(const Claimant& one, const std::string& index,
                                     const std::vector<Claimant>& met) {
  std::vector<LockedDocument> documents{{one.ns, one.id}};
  std::set<std::string> locked;
  for (const Claimant& holder : met) {
    documents.push_back({holder.ns, holder.id});
    locked.insert(holder.row_key);
  }
  if (!locks_.take_or_wait(one.row_key, documents)) return false;
  auto holders_now = claimants_.holders(one, index);
  if (!holders_now) return tl::unexpected(holders_now.error());
  // It was read in the run that is served: its row is made of it.
  if (Status admitted = is_admitted(store_, options_); !admitted) {
    return tl::unexpected(admitted.error());
  }
  for (const Claimant& holder : *holders_now) {
    if (!locked.contains(holder.row_key)) return true;  // the next round meets it
    if (!holder.is_parked() && (holder.aside || holder.claim < one.claim)) return true;
  }
  for (const Claimant& holder : *holders_now) {
    if (Status parked = claimants_.park(holder, one); !parked)
      return tl::unexpected(parked.error());
  }
  return true;
}

// What shares a key is in the log with it.
Status UniqueOwners::come_back(const Claimant& one, const ApplyDocument& merged,
                               const WriteOutcome& outcome, Rule rule) {
  KeptChanges changes;
  if (rule == Rule::kKeep && one.document) {
    if (Status noted = kept_.note(one.ns, *one.document, changes); !noted) return noted;
  }
  outbox::Batch batch;
  kept_.add_to(batch, changes);
  Status back = claimants_.come_back(one, merged, outcome, std::move(batch));
  if (!back) return back;
  kept_.written(changes);
  obstacles_.erase(one.row_key);
  told_.erase(one.row_key);
  return {};
}

}  // namespace outrigger
