// Which namespaces travel, and by which rules: the part of the settings that every member must
// share. Sites compare them in their hello; where they differ, they name the differing lines.
//
// How paths merge may change while the site runs: one site's file is changed, and a record tells
// the others (replication/site/rules). Which namespaces travel may not: each site's file says it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/merge_rules.h"
#include "config/settings.h"
#include "config/threads.h"

namespace outrigger {

// Any thread may ask.
class Policy {
 public:
  explicit Policy(const Settings& settings);

  // `ns` is "database.collection". False for the databases that never travel (admin, local,
  // config, and outrigger, which the sidecar serves itself) and for "system." collections,
  // whatever the rules say; otherwise the first matching rule decides, and without one: true.
  [[nodiscard]] bool replicates(std::string_view ns) const;
  // What apps write there is this site's own affair: admin, local, config, and what a rule says
  // shall not travel. (What neither stays here nor replicates, apps must not write.)
  [[nodiscard]] bool stays_here(std::string_view ns) const;
  // Of an app's namespace; in the database that the sidecar serves itself no rule has a say,
  // whatever it matches, nor where a time series keeps what was measured: that never merges.
  // Borrows from this policy.
  [[nodiscard]] MergeRules merge_rules(std::string_view ns) const {
    const bool is_measured = ns.find(".system.buckets.") != std::string_view::npos;
    return is_measured || ns.starts_with("outrigger.") ? MergeRules() : MergeRules(rule_for(ns));
  }
  // The rule that decides for `ns`; the default rule when none matches.
  [[nodiscard]] const ReplicateRule& rule_for(std::string_view ns) const;
  [[nodiscard]] EqualSet equal_set() const { return now().equal_set; }
  // Whose settings they are; no part of what members share.
  [[nodiscard]] const std::string& site() const { return site_; }

  // The same on every machine and in every build for the same lines.
  [[nodiscard]] uint64_t hash() const { return now().hash; }
  // Likewise, of which namespaces travel.
  [[nodiscard]] uint64_t selection() const { return now().selection; }
  // The policy in normal form, one rule a line, in the order that decides.
  [[nodiscard]] const std::vector<std::string>& lines() const { return now().lines; }
  // Settings::rules_text.
  [[nodiscard]] const std::string& text() const { return now().text; }

  // These rules hold from now on. What was borrowed of earlier ones stays good.
  void change_to(const Settings& rules);

 private:
  struct Rules {
    explicit Rules(const Settings& settings);

    EqualSet equal_set;
    std::vector<ReplicateRule> rules;
    ReplicateRule otherwise{"*"};
    std::vector<std::string> lines;
    uint64_t hash;
    uint64_t selection;
    std::string text;
  };

  [[nodiscard]] const Rules& now() const { return *now_.load(std::memory_order_acquire); }

  std::string site_;
  Mutex mutex_;
  std::vector<std::unique_ptr<const Rules>> all_ GUARDED_BY(mutex_);  // they change a few times
  std::atomic<const Rules*> now_;
};

// True when `glob` matches all of `text`; '*' stands for any run of bytes, also an empty one.
[[nodiscard]] bool glob_matches(std::string_view glob, std::string_view text);
// Is there a text that both match?
[[nodiscard]] bool globs_overlap(std::string_view a, std::string_view b);

// What a person must change to make two policies equal: "- line" only in ours, "+ line" only in
// theirs; when the lines are the same in another order, it says that.
[[nodiscard]] std::vector<std::string> policy_difference(const std::vector<std::string>& ours,
                                                         const std::vector<std::string>& theirs);

}  // namespace outrigger
