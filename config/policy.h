// Which namespaces travel, and by which rules: the part of the settings that every member must
// share. Sites compare the hash in their hello; when it differs, they name the differing lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/merge_rules.h"
#include "config/settings.h"

namespace outrigger {

// Immutable after construction, so any thread may ask.
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
  // whatever it matches. Borrows from this policy.
  [[nodiscard]] MergeRules merge_rules(std::string_view ns) const {
    return ns.starts_with("outrigger.") ? MergeRules() : MergeRules(rule_for(ns));
  }
  // The rule that decides for `ns`; the default rule when none matches.
  [[nodiscard]] const ReplicateRule& rule_for(std::string_view ns) const;
  [[nodiscard]] EqualSet equal_set() const { return equal_set_; }
  // Whose settings they are; no part of what members share.
  [[nodiscard]] const std::string& site() const { return site_; }

  // The same on every machine and in every build for the same lines.
  [[nodiscard]] uint64_t hash() const { return hash_; }
  // The policy in normal form, one rule a line, in the order that decides.
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::string site_;
  EqualSet equal_set_;
  std::vector<ReplicateRule> rules_;
  ReplicateRule default_rule_;
  std::vector<std::string> lines_;
  uint64_t hash_;
};

// True when `glob` matches all of `text`; '*' stands for any run of bytes, also an empty one.
[[nodiscard]] bool glob_matches(std::string_view glob, std::string_view text);

// What a person must change to make two policies equal: "- line" only in ours, "+ line" only in
// theirs; when the lines are the same in another order, it says that.
[[nodiscard]] std::vector<std::string> policy_difference(const std::vector<std::string>& ours,
                                                         const std::vector<std::string>& theirs);

}  // namespace outrigger
