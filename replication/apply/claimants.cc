#include "replication/apply/claimants.h"

#include <utility>

#include "replication/apply/apply_gatherer.h"
#include "replication/apply/apply_notes.h"
#include "replication/merge/row.h"
#include "replication/site/site_parts.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr int32_t kDuplicateKey = 11000;

LedgerEntry entry_of(const std::string& ns, const bson::OwnedValue& id, const std::string& document,
                     const merge::Claim& claim, const std::string* owner) {
  std::optional<bson::OwnedValue> owner_id;
  if (owner != nullptr) {
    if (const auto found = bson::Document(*owner).find("_id")) owner_id.emplace(*found);
  }
  return parked_entry(ns, id, document, claim.dot, owner_id);
}

}  // namespace

// What is known of it here: row, claim, and whether it is set aside.
Status Claimants::read_row(Claimant& of) {
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

Result<std::optional<std::string>> Claimants::stored(const Claimant& of) {
  auto found = store_.read(of.ns, std::span(&of.id, 1));
  if (!found && found.error().code == ErrorCode::kInvalidArgument) {
    return std::optional<std::string>();  // nor can one be
  }
  if (!found) return tl::unexpected(found.error());
  return std::move(found->front());
}

// Nothing: it goes. Journaled, and asked for afterwards: in the run of the store that is served.
Result<WriteOutcome> Claimants::write(const Claimant& of,
                                      const std::optional<std::string>& document) {
  const StoreWrite write = whole_write(of.ns, of.id, document);
  auto outcomes = store_.apply(std::span(&write, 1));
  if (!outcomes) return tl::unexpected(outcomes.error());
  if (Status admitted = is_admitted(store_, options_); !admitted) {
    return tl::unexpected(admitted.error());
  }
  return std::move(outcomes->front());
}

Result<std::vector<Claimant>> Claimants::holders(const Claimant& of, const std::string& index) {
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

// Whole in its row, durable, before the store lets it go.
Status Claimants::park(const Claimant& holder, const Claimant& owner) {
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
  site_.kept.touch({holder.row_key});
  return {};
}

// It stays parked, and `owner`, if known, is why.
Status Claimants::stay(const Claimant& one, const Claimant* owner, bool is_there) {
  if (is_there) {  // an older version
    if (Status synced = sync_now(commit_); !synced) return synced;
    if (const auto gone = write(one, std::nullopt); !gone) return tl::unexpected(gone.error());
    (void)site_.aside.try_again(site_.aside.behind({one.row_key}));
    site_.kept.touch({one.row_key});
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
Status Claimants::come_back(const Claimant& one, const ApplyDocument& merged,
                            const WriteOutcome& outcome, outbox::Batch batch) {
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
  site_.aside.remove(one.row_key);
  site_.kept.touch({one.row_key});
  return {};
}

// No key keeps it out any more, something else does.
Status Claimants::refile(const Claimant& one, const WriteOutcome& outcome) {
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
