// Forgetting, in bounded steps: rows whose stamps are stable, records every member has, cohorts,
// entries of the ledger beyond its bound, entries of the retry table gone stale.
//
// Rows and records stay until the store's journal holds what they are about as well, however many
// members have it: a crash of the store takes the rest back, and they are what it is put back from.
// Cohorts are dropped all or none. The row of a sum stays while a bound shows in its place, and
// that of a document until it is corrected (corrections/corrections.h).
//
// Claims to unique keys are compared by stamps, and merge/claims/claim.h says when one may be
// forgotten: not before all is stable that is not later, and not while something is set aside in
// its collection, by whatever error, or shares a key there (site/kept/), that claims as early or
// earlier. Then of a row that is stable the claim alone stays. Where it cannot be told what is set
// aside claims, all of them do; where there are no unique indexes, none.
// How far the journal goes is in the log before anything is forgotten because of it.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/causality/version_vector.h"
#include "replication/site/corrections/corrections.h"
#include "replication/site/kept/kept_notes.h"
#include "replication/site/ledger/ledger_keeper.h"
#include "replication/site/local_records.h"
#include "replication/site/lock_table.h"
#include "replication/site/retirement.h"
#include "replication/site/state/aside_documents.h"
#include "replication/site/state/site_state.h"
#include "replication/site/state/wakers.h"

namespace outrigger {

// Thread-safe.
class Collection {
 public:
  // Everything is borrowed and outlives this.
  Collection(const SiteContext& context, SiteState& state, LocalRecords& records,
             LedgerKeeper& ledger, AsideDocuments& aside, Corrections& corrections, KeptNotes& kept,
             Retirement& retirement, Wakers& wakers)
      : context_(context),
        state_(state),
        records_(records),
        ledger_(ledger),
        aside_(aside),
        corrections_(corrections),
        kept_(kept),
        retirement_(retirement),
        wakers_(wakers) {}

  // Rows are collected under their documents' locks, taken from here; before, none are.
  void attach(LockTable& locks) { locks_ = &locks; }
  // Replica::collect_step.
  [[nodiscard]] Status step(size_t documents_max);
  [[nodiscard]] uint64_t collected_rows() const { return collected_rows_; }

 private:
  // What of rows may go.
  struct Forgettable {
    VersionVector stable;
    VersionVector closed;
    Hlc before = 0;  // claims below this
    // By namespace: claims like this and later ones may not.
    std::map<std::string, Dot, std::less<>> kept_from;
    [[nodiscard]] bool keeps(std::string_view ns, const Dot& claim) const;
    friend bool operator==(const Forgettable&, const Forgettable&) = default;
  };

  [[nodiscard]] Result<std::optional<Dot>> first_claim(std::string_view ns,
                                                       const std::vector<std::string>& row_keys,
                                                       bool with_forgotten) const;
  [[nodiscard]] Result<Forgettable> forgettable(const SiteState::Common& common,
                                                const VersionVector& journaled) const;
  [[nodiscard]] static Result<std::optional<std::string>> collected(std::string_view ns,
                                                                    std::string_view bytes,
                                                                    const Forgettable& may_go);
  [[nodiscard]] Status note_journaled(const VersionVector& journaled) REQUIRES(stepping_);
  [[nodiscard]] Status truncate(const VersionVector& through_all);
  [[nodiscard]] Status drop_cohorts(const Forgettable& may_go) REQUIRES(stepping_);
  [[nodiscard]] bool begins_pass(const Forgettable& may_go) REQUIRES(stepping_);
  [[nodiscard]] Status collect_rows(size_t documents_max, const Forgettable& may_go)
      REQUIRES(stepping_);
  [[nodiscard]] Status expire_retries(size_t count) REQUIRES(stepping_);

  const SiteContext& context_;
  SiteState& state_;
  LocalRecords& records_;
  LedgerKeeper& ledger_;
  AsideDocuments& aside_;
  Corrections& corrections_;
  KeptNotes& kept_;
  Retirement& retirement_;
  Wakers& wakers_;
  std::atomic<LockTable*> locks_{nullptr};
  std::atomic<uint64_t> collected_rows_{0};

  Mutex stepping_;  // one caller at a time; held over log and store
  VersionVector noted_journaled_ GUARDED_BY(stepping_);  // in the log
  std::string row_cursor_ GUARDED_BY(stepping_);
  bool pass_under_way_ GUARDED_BY(stepping_) = false;
  Forgettable pass_ GUARDED_BY(stepping_);     // when the present or last one over the rows began
  Forgettable dropped_ GUARDED_BY(stepping_);  // when cohorts were dropped last
  std::string retry_cursor_ GUARDED_BY(stepping_);
  int64_t retries_checked_ms_ GUARDED_BY(stepping_) = 0;
};

}  // namespace outrigger
