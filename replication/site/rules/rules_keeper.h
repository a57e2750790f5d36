// Which rules of merging hold at this site, where its file says one thing and another site's record
// another.
//
// Somebody changes the file of one site and starts it again. That site notices that its file is not
// what it was, takes the new rules, and says so in a record (Record::rules). Every other site takes
// them as it applies that record: at one point of causal history, whatever its own file says, and
// also at its next start, as long as its file has not been changed itself. Of two sites that change
// their files without knowing of each other the later record stands everywhere. A write carries the
// rules it was made by, so a merge minds no moment; which of what loses is left open (`escalate`)
// is asked of the rules that hold where the entry is written.
//
// Which namespaces travel is not told so: there each site's file decides, and sites of which these
// differ do not talk. Rules that this version cannot read wait in the log for one that can.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/policy.h"
#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/outbox/batch.h"
#include "replication/record/record.h"
#include "replication/site/state/alarms.h"
#include "replication/site/state/replica_status.h"
#include "replication/site/state/site_context.h"

namespace outrigger {

// Rules of a record that stand from where it is applied.
struct ToldRules {
  const Record* record = nullptr;   // borrowed; null: no record changes them
  std::optional<Settings> rules{};  // nothing: this version cannot read them
  bool can_hold = false;            // and the same namespaces travel by them
};

// Thread-safe.
class RulesKeeper {
 public:
  // Both outlive this. Without a policy in the options there is nothing to keep.
  RulesKeeper(const SiteContext& context, Alarms& alarms);

  // At start, before anything is written or applied: takes those that a record told, unless the
  // file has been changed since. Errors: of the log.
  [[nodiscard]] Status load();
  // The file was changed, and no record says so yet.
  [[nodiscard]] bool is_due() const;
  // Then such a record says what holds here, and goes to the log with that batch.
  void tell(Record& record, outbox::Batch& batch) const;
  void told(const Record& record);

  // Of records that are applied, the one whose rules will stand.
  [[nodiscard]] ToldRules newest_of(
      const std::vector<std::shared_ptr<const Record>>& records) const;
  static void put(outbox::Batch& batch, const ToldRules& told);
  // It is durable. `by`: the name of its author.
  void take(const ToldRules& told, const std::string& by);

  // "SELECTION-RULES", hashes of which namespaces travel and of all; and a + where a record has
  // told them, or is about to.
  [[nodiscard]] std::string name() const;
  // All but by whom; the record they are from, zero: none.
  [[nodiscard]] Dot describe(RulesStatus& status) const;

 private:
  [[nodiscard]] bool can_hold(const std::optional<Settings>& rules) const;
  // Rules that a record told hold now, if they can.
  void hold(const std::optional<Settings>& rules, const std::string& by) REQUIRES(mutex_);
  void say(const std::string& what, const std::vector<std::string>& before) const;

  const SiteContext& context_;
  Alarms& alarms_;
  Policy* const policy_;
  // Of the file, as this run was started with it.
  const std::string file_text_;
  const uint64_t file_hash_ = 0;
  const std::vector<std::string> file_lines_;
  mutable Mutex mutex_;
  bool is_due_ GUARDED_BY(mutex_) = false;
  Dot told_ GUARDED_BY(mutex_);
  size_t changes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace outrigger
