// Records set aside whole, because they may not be applied as they are: looking at them, and having
// one tried again. Each stands in the ledger with its bytes, and goes by its name (record_name).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/outbox/ledger.h"
#include "replication/record/record.h"
#include "replication/site/members.h"
#include "replication/site/state/site_state.h"
#include "replication/site/state/wakers.h"

namespace outrigger {

// Thread-safe.
class Quarantine {
 public:
  // Everything is borrowed and outlives this.
  Quarantine(const SiteContext& context, const SiteState& state, const Members& members,
             Wakers& wakers)
      : context_(context), state_(state), members_(members), wakers_(wakers) {}

  [[nodiscard]] Status load();
  [[nodiscard]] size_t size() const;
  [[nodiscard]] bool holds(const Dot& dot) const;
  // Oldest first: Replica::quarantined.
  [[nodiscard]] Result<std::vector<LedgerEntry>> list(size_t limit) const;
  [[nodiscard]] Result<std::shared_ptr<const Record>> record(const std::string& ledger_key) const;
  // Why it may not be applied any more, whatever it is; empty: it may.
  [[nodiscard]] Result<std::string> too_late_for(const Dot& dot) const;

  // Replica::retry_quarantined.
  [[nodiscard]] Status retry(const std::string& name);
  // Those to be tried again: name -> ledger key.
  [[nodiscard]] std::map<std::string, std::string> due();
  // It is being tried, or it is too late for it.
  void taken(const std::string& name);
  // It is to be tried, or was taken for nothing.
  void put_back(const std::string& name);
  // A batch is on disk that sets some aside (name -> ledger key) and has applied others.
  void change(const std::map<std::string, std::shared_ptr<const Record>>& released,
              std::map<std::string, std::string> set_aside);

 private:
  const SiteContext& context_;
  const SiteState& state_;
  const Members& members_;
  Wakers& wakers_;

  mutable Mutex mutex_;
  std::map<std::string, std::string> records_ GUARDED_BY(mutex_);  // name -> ledger key
  std::set<std::string> retries_ GUARDED_BY(mutex_);               // names
};

}  // namespace outrigger
