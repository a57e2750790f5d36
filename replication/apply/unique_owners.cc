#include "replication/apply/unique_owners.h"

#include <algorithm>
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

constexpr int32_t kDuplicateKey = 11000;
constexpr size_t kDocumentsAtOnce = 16;  // the stream waits meanwhile
constexpr size_t kRoundsMax = 100;       // of making room for one document
constexpr int kTriesMax = 20;            // before an obstacle is looked at anew

// Of what the store lets nobody ask about this one, while it answers others.
bool is_of_the_document(const Error& error) {
  return error.code == ErrorCode::kRefused || error.code == ErrorCode::kInvalidArgument;
}

LedgerEntry entry_of(const std::string& ns, const bson::OwnedValue& id, const std::string& document,
                     const merge::Claim& claim, const std::string* owner) {
  std::optional<bson::OwnedValue> owner_id;
  if (owner != nullptr) {
    if (const auto found = bson::Document(*owner).find("_id")) owner_id.emplace(*found);
  }
  return parked_entry(ns, id, document, claim.dot, owner_id);
}

}  // namespace

// For who may forget claims (site/collection.h). What cannot be told now is asked again.
void UniqueOwners::note_indexes() {
  for (const std::string& ns : site_.aside.without_indexes()) {
    const auto info = store_.collection(ns);
    site_.aside.note_unique_index(
        ns, info ? std::optional(!info->unique_fields.empty()) : std::nullopt);
  }
}

Result<bool> UniqueOwners::step() {
  note_indexes();
  if (site_.aside.parked_due("", 1).empty()) {
    locks_.leave_line();  // who stood there is decided about, and nobody would take its turn
    return false;
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
  bool done = false;
  for (Claimant& each : *claimants) {
    const LockedDocument document{each.ns, each.id};
    const bool has_locks = each.row_key == waiting
                               ? locks_.take_line()
                               : locks_.take_or_wait(each.row_key, std::span(&document, 1));
    if (!has_locks) continue;
    const auto settled = settle(each);
    locks_.release();
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

// Some of them, the next ones each time, and who waits in line; in the order in which they are to
// be decided.
Result<std::vector<UniqueOwners::Claimant>> UniqueOwners::due(const std::string& waiting) {
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
    const Status read = read_row(one);
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

// What is known of it here: row, claim, and whether it is set aside.
Status UniqueOwners::read_row(Claimant& of) {
  of.claim.canonical_id = bson::canonical_key(of.id.view());
  auto row = outbox_.row(of.ns, of.claim.canonical_id);
  if (!row) return tl::unexpected(row.error());
  of.row = std::move(*row);
  auto state = merge::load_row(of.row ? std::string_view(*of.row) : std::string_view());
  if (!state) return tl::unexpected(state.error());
  of.claim.dot = merge::claim_of(*state);
  of.aside = site_.aside.find(of.row_key);
  return {};
}

Result<std::optional<std::string>> UniqueOwners::stored(const Claimant& of) {
  auto found = store_.read(of.ns, std::span(&of.id, 1));
  if (!found && found.error().code == ErrorCode::kInvalidArgument) {
    return std::optional<std::string>();  // nor can one be
  }
  if (!found) return tl::unexpected(found.error());
  return std::move(found->front());
}

// Nothing: it goes. Journaled, and asked for afterwards: in the run of the store that is served.
Result<WriteOutcome> UniqueOwners::write(const Claimant& of,
                                         const std::optional<std::string>& document) {
  const StoreWrite write = whole_write(of.ns, of.id, document);
  auto outcomes = store_.apply(std::span(&write, 1));
  if (!outcomes) return tl::unexpected(outcomes.error());
  if (Status admitted = is_admitted(store_, options_); !admitted) {
    return tl::unexpected(admitted.error());
  }
  return std::move(outcomes->front());
}

// ---- one document, under its lock

Result<UniqueOwners::Settled> UniqueOwners::settle(Claimant& one) {
  if (Status read = read_row(one); !read) return tl::unexpected(read.error());
  if (!one.is_parked()) return Settled::kDone;  // decided otherwise meanwhile
  auto there = stored(one);
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
  if (!writes.empty()) return contend(one, merged, there->has_value());
  // It was put there by a call whose answer was lost: no journal need have it yet.
  if (Status journaled = store_.wait_journaled(); !journaled) {
    return tl::unexpected(journaled.error());
  }
  if (Status admitted = is_admitted(store_, options_); !admitted) {
    return tl::unexpected(admitted.error());
  }
  if (Status back = come_back(one, merged, WriteOutcome()); !back) {
    return tl::unexpected(back.error());
  }
  return Settled::kDone;
}

// It is not in the store as it is to be.
Result<UniqueOwners::Settled> UniqueOwners::contend(Claimant& one, const ApplyDocument& merged,
                                                    bool is_there) {
  const auto ended = [](Status status) -> Result<Settled> {
    if (!status) return tl::unexpected(status.error());
    return Settled::kDone;
  };
  bool made_room = false;
  for (size_t round = 0; round < kRoundsMax; ++round) {
    auto outcome = write(one, one.document);
    if (!outcome) return tl::unexpected(outcome.error());
    if (outcome->ok()) return ended(come_back(one, merged, *outcome));
    const std::string index = unique_index_of(*outcome);
    if (index.empty() || !one.document) return ended(refile(one, *outcome));
    auto held_by = holders(one, index);
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
      return ended(stay(one, *owner, is_there));
    }
    auto room = make_room(one, index, *held_by);
    if (!room) return tl::unexpected(room.error());
    if (!*room) return Settled::kWaits;
    made_room = true;
  }
  // Whoever held the key has gone by now, or cannot be found: it is tried again in a while.
  return ended(stay(one, nullptr, is_there));
}

Result<std::vector<UniqueOwners::Claimant>> UniqueOwners::holders(const Claimant& of,
                                                                  const std::string& index) {
  auto documents = store_.holders(of.ns, *of.document, index);
  if (!documents) return tl::unexpected(documents.error());
  std::vector<Claimant> found;
  for (std::string& document : *documents) {
    const auto id = bson::Document(document).find("_id");
    if (!id) continue;
    Claimant holder;
    holder.ns = of.ns;
    holder.id = bson::OwnedValue(*id);
    holder.row_key = outbox::row_key(of.ns, bson::canonical_key(*id));
    holder.document = std::move(document);
    if (holder.row_key == of.row_key) continue;
    if (Status read = read_row(holder); !read) return tl::unexpected(read.error());
    found.push_back(std::move(holder));
  }
  return found;
}

// One that must not make room. What is parked, and not gone from the store yet, always does; what
// is set aside for another reason stays where it is.
Result<const UniqueOwners::Claimant*> UniqueOwners::before(const Claimant& one,
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
  if (Status read = read_row(now); !read) return tl::unexpected(read.error());
  auto document = stored(now);
  if (!document) return tl::unexpected(document.error());
  if (!is_old && *document && now.claim == then.claim) return &then;
  obstacles_.erase(known);
  return nullptr;
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
  auto holders_now = holders(one, index);
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
    if (Status parked = park(holder, one); !parked) return tl::unexpected(parked.error());
  }
  return true;
}

// Whole in its row, durable, before the store lets it go.
Status UniqueOwners::park(const Claimant& holder, const Claimant& owner) {
  if (!holder.is_parked()) {
    auto row = detached_row(holder.row.value_or(std::string()), holder.document);
    if (!row) return tl::unexpected(row.error());
    const LedgerEntry entry =
        entry_of(holder.ns, holder.id, *holder.document, holder.claim, &*owner.document);
    Aside aside;
    aside.since_ms = site_.context.clock.wall_ms();
    aside.code = kDuplicateKey;
    aside.ledger_key = ledger_key(entry);
    outbox::Batch batch;
    batch.put_row(holder.ns, holder.claim.canonical_id, *row);
    batch.put_meta(meta_keys::kDetached + holder.row_key, encode_aside(aside));
    site_.ledger.put(batch, aside.ledger_key, entry, 1);
    if (Status written = outbox_.write(std::move(batch)); !written) return written;
    if (!holder.row || !merge::counts(*holder.row)) site_.state.rows_changed(1);
    site_.aside.replace({holder.row_key}, {{holder.row_key, aside}});
    if (options_.warn) options_.warn("parked " + entry.ns + " " + entry.reason);
  }
  if (Status synced = sync_now(commit_); !synced) return synced;
  const auto gone = write(holder, std::nullopt);
  if (!gone) return tl::unexpected(gone.error());
  (void)site_.aside.try_again(site_.aside.behind({holder.row_key}));
  return {};
}

// It stays parked, and `owner`, if known, is why.
Status UniqueOwners::stay(const Claimant& one, const Claimant* owner, bool is_there) {
  if (is_there) {  // an older version
    if (Status synced = sync_now(commit_); !synced) return synced;
    if (const auto gone = write(one, std::nullopt); !gone) return tl::unexpected(gone.error());
    (void)site_.aside.try_again(site_.aside.behind({one.row_key}));
  }
  const LedgerEntry entry = entry_of(one.ns, one.id, *one.document, one.claim,
                                     owner == nullptr ? nullptr : &*owner->document);
  Aside aside = *one.aside;
  aside.ledger_key = ledger_key(entry);
  auto known = outbox_.ledger(aside.ledger_key);
  if (!known) return tl::unexpected(known.error());
  // It has been there before, and came back.
  const auto before = *known ? decode_ledger(**known) : LedgerEntry();
  const bool is_open = *known && before && before->open;
  outbox::Batch batch;
  if (!is_open || (owner != nullptr && **known != encode_ledger(entry))) {
    site_.ledger.put(batch, aside.ledger_key, entry, is_open ? 0 : 1);
    if (!is_open && options_.warn) options_.warn("parked " + entry.ns + " " + entry.reason);
  }
  if (aside.ledger_key != one.aside->ledger_key) {
    batch.remove_ledger(one.aside->ledger_key);
    batch.put_meta(meta_keys::kDetached + one.row_key, encode_aside(aside));
  }
  if (!batch.empty()) {
    if (Status written = outbox_.write(std::move(batch)); !written) return written;
  }
  site_.aside.stays(one.row_key, std::move(aside), owner == nullptr ? "" : owner->row_key);
  return {};
}

// The store has it as it is to be.
Status UniqueOwners::come_back(const Claimant& one, const ApplyDocument& merged,
                               const WriteOutcome& outcome) {
  outbox::Batch batch;
  if (merged.row_after.empty()) {
    batch.remove_row(one.ns, one.claim.canonical_id);
  } else {
    batch.put_row(one.ns, one.claim.canonical_id, merged.row_after);
  }
  batch.remove_meta(meta_keys::kDetached + one.row_key);
  if (Status closed = close_aside(outbox_, site_.ledger, batch, one.aside->ledger_key); !closed) {
    return closed;
  }
  if (outcome.against_validator) {
    const LedgerEntry entry =
        validator_entry(one.ns, one.id, Dot(), outcome.message, site_.context.clock.wall_ms());
    if (Status noted = put_once(outbox_, site_.ledger, batch, entry); !noted) return noted;
  }
  if (Status written = outbox_.write(std::move(batch)); !written) return written;
  const int64_t before = one.row && merge::counts(*one.row) ? 1 : 0;
  site_.state.rows_changed((merge::counts(merged.row_after) ? 1 : 0) - before);
  obstacles_.erase(one.row_key);
  told_.erase(one.row_key);
  site_.aside.remove(one.row_key);
  return {};
}

// No key keeps it out any more, something else does.
Status UniqueOwners::refile(const Claimant& one, const WriteOutcome& outcome) {
  Aside aside = *one.aside;
  aside.code = outcome.code;
  aside.since_ms = site_.context.clock.wall_ms();
  const LedgerEntry entry = not_applied_entry(
      one.ns, one.id, one.document,
      "the store refused it with " + std::to_string(outcome.code) + ": " + outcome.message,
      aside.since_ms);
  aside.ledger_key = ledger_key(entry);
  outbox::Batch batch;
  if (Status closed = close_aside(outbox_, site_.ledger, batch, one.aside->ledger_key); !closed) {
    return closed;
  }
  if (Status noted = put_once(outbox_, site_.ledger, batch, entry); !noted) return noted;
  batch.put_meta(meta_keys::kDetached + one.row_key, encode_aside(aside));
  if (Status written = outbox_.write(std::move(batch)); !written) return written;
  site_.aside.stays(one.row_key, std::move(aside), "");
  return {};
}

}  // namespace outrigger
