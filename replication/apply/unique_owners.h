// Documents that a unique index keeps from being shown together: whose the key is, the same at
// every site (merge/claims/claim.h has the rule and why it is that).
//
// The problem: what a site shows follows from all merged documents at once, and a batch meets one
// refusal at a time, in an order of its own. The idea: a search that changes one document at a time
// and can only come to rest where the rule is true: no two that are shown share a key (the store
// sees to that), and each that is parked has an earlier one that is shown and holds a key of its.
// Where both are so, what is shown is what the rule says. It comes to rest, since a later document
// only ever makes room for an earlier one.
//
// So a batch that meets such a refusal sets the document aside, and this, between batches, decides:
// whoever holds the key is asked for its claim, too. If that is the later one, it is *parked*: its
// row comes to hold every value, and with the ledger's entry that is durable before the store lets
// the document go; then the other one is put in. Else the refused one stays parked, and nothing of
// an older version of it is left in the store. What is parked goes on merging in its row. It is
// tried again, in the order of claims, when it changes, when who stands before it changes or goes,
// now and then, and at start.
//
// A crash anywhere leaves a parked document that is there still, or one that is not yet, and either
// is tried again. What the store is made to do is journaled before the log builds on it.
//
// Where the rules say `unique: keep` nobody makes room: the index is opened for the refused one
// (kept/kept_keys.h), under a lock of the whole collection, which is held until it is closed.
// Should the rules change, what shares a key is decided about as above, as long as claims tell.
//
// Locks: of the document, then of all that have to make room for it, or none: who cannot have them
// stands in line for all of them and is left for a later step.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/apply/applier_options.h"
#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_gatherer.h"
#include "replication/apply/claimants.h"
#include "replication/apply/locks/apply_locks.h"
#include "replication/kept/kept_keys.h"
#include "replication/merge/claims/claim.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/outbox.h"
#include "replication/site/state/aside.h"
#include "replication/store/store.h"

namespace outrigger {

struct SiteParts;

// One thread's: the one that applies.
class UniqueOwners {
 public:
  // Everything is borrowed and outlives this.
  UniqueOwners(SiteParts& site, outbox::Outbox& outbox, outbox::CommitThread& commit, Store& store,
               ApplyLocks& locks, const ApplierOptions& options)
      : site_(site),
        outbox_(outbox),
        store_(store),
        locks_(locks),
        options_(options),
        claimants_(site, outbox, commit, store, options),
        kept_(
            site, outbox, commit, store, entry_lock(locks),
            [this] { return is_admitted(store_, options_); }, options.warn) {}

  // Before anybody writes (KeptKeys::put_right).
  [[nodiscard]] Status begin() { return kept_.put_right(); }
  // A write of the catalogue has been made true.
  [[nodiscard]] Status told(const StoreWrite& write) { return kept_.told(write); }
  // Decides about some of those that are due, few enough for a batch to wait for. No batch is under
  // way. False: there was nothing to decide, or what there was waits for locks. Errors: of the
  // store, the log; what is not decided is due still.
  [[nodiscard]] Result<bool> step();

 private:
  // Who stood before a document for which others had made room in vain: as long as both are as
  // they were, nobody makes room again. For so many tries: indexes may change, too.
  struct Obstacle {
    Claimant holder;
    merge::Claim claim;  // of the document that is kept out
    int tries = 0;
  };
  enum class Settled : uint8_t { kDone, kWaits };
  // How it is decided who is shown.
  enum class Rule : uint8_t { kPark, kKeep };

  [[nodiscard]] static EntryLock entry_lock(ApplyLocks& locks);
  void note_indexes();
  void tell_once(const Claimant& of, const std::string& what);
  [[nodiscard]] Result<std::vector<Claimant>> due(const std::string& waiting);
  [[nodiscard]] Result<Settled> settle_locked(Claimant& one, bool is_in_line);
  [[nodiscard]] Result<Settled> settle(Claimant& one, Rule rule);
  [[nodiscard]] Settled later(const Claimant& one);
  [[nodiscard]] Status come_back(const Claimant& one, const ApplyDocument& merged,
                                 const WriteOutcome& outcome, Rule rule);
  [[nodiscard]] Result<Settled> contend(Claimant& one, const ApplyDocument& merged, bool is_there,
                                        Rule rule);
  [[nodiscard]] Status shut();
  [[nodiscard]] Result<bool> look_at_kept();
  [[nodiscard]] Status dispute(const KeptDocument& kept);
  [[nodiscard]] Result<const Claimant*> before(const Claimant& one,
                                               const std::vector<Claimant>& holders);
  [[nodiscard]] Result<bool> make_room(const Claimant& one, const std::string& index,
                                       const std::vector<Claimant>& met);

  SiteParts& site_;
  outbox::Outbox& outbox_;
  Store& store_;
  ApplyLocks& locks_;
  const ApplierOptions& options_;
  std::string cursor_;                         // row key of the last one that was due
  std::map<std::string, Obstacle> obstacles_;  // by row key
  std::set<std::string> told_;                 // row keys
  Claimants claimants_;
  KeptKeys kept_;
  std::vector<HeldLocks> shut_out_;  // others, from collections of which an index stands open
};

}  // namespace outrigger
