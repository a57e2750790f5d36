#include "config/policy.h"

#include <xxhash.h>

#include <algorithm>

namespace outrigger {
namespace {

constexpr std::string_view kLocalDatabases[] = {"admin", "local", "config", "outrigger"};

const char* deletes_of(const ReplicateRule& rule) {
  return rule.deletes == DeletePolicy::kUpdateWins ? ", deletes: update_wins"
                                                   : ", deletes: delete_wins";
}

std::string dotted(const ReplicateRule& rule) {
  std::string text;
  for (const std::string& name : rule.version_field) text += (text.empty() ? "" : ".") + name;
  return text;
}

// The first line carries the version of this normal form: a new form must not hash like an old
// one.
std::vector<std::string> normal_form(const Settings& settings) {
  std::vector<std::string> lines = {"policy 1"};
  lines.push_back(std::string("equal_set: ") +
                  (settings.equal_set == EqualSet::kKeep ? "keep" : "drop"));
  for (const ReplicateRule& rule : settings.replicate) {
    lines.push_back("namespace: " + rule.namespace_glob +
                    (rule.replicate ? deletes_of(rule) : ", replicate: false") +
                    (rule.replaces == ReplacePolicy::kDiff ? ", replaces: diff" : "") +
                    (rule.version_field.empty() ? "" : ", version_field: " + dotted(rule)) +
                    (rule.escalate == Escalation() ? "" : ", escalate: " + text_of(rule.escalate)));
    for (const PathRule& field : rule.fields) {
      lines.push_back("namespace: " + rule.namespace_glob + ", field: " + text_of(field));
    }
  }
  return lines;
}

uint64_t hash_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace

Policy::Policy(const Settings& settings)
    : site_(settings.site),
      equal_set_(settings.equal_set),
      rules_(settings.replicate),
      default_rule_{"*"},
      lines_(normal_form(settings)),
      hash_(hash_lines(lines_)) {}

bool Policy::replicates(std::string_view ns) const {
  const size_t dot = ns.find('.');
  const std::string_view database = ns.substr(0, dot);
  for (const std::string_view local : kLocalDatabases) {
    if (database == local) return false;
  }
  if (dot != std::string_view::npos && ns.substr(dot + 1).starts_with("system.")) return false;
  return rule_for(ns).replicate;
}

bool Policy::stays_here(std::string_view ns) const {
  const std::string_view database = ns.substr(0, ns.find('.'));
  return database == "admin" || database == "local" || database == "config" ||
         !rule_for(ns).replicate;
}

const ReplicateRule& Policy::rule_for(std::string_view ns) const {
  for (const ReplicateRule& rule : rules_) {
    if (glob_matches(rule.namespace_glob, ns)) return rule;
  }
  return default_rule_;
}

bool glob_matches(std::string_view glob, std::string_view text) {
  // On a mismatch only the last '*' seen needs to take one byte more: earlier ones were already
  // satisfied with as little as possible.
  size_t g = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      star_text = t;
    } else if (g < glob.size() && glob[g] == text[t]) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

std::vector<std::string> policy_difference(const std::vector<std::string>& ours,
                                           const std::vector<std::string>& theirs) {
  std::vector<std::string> difference;
  const auto only_in = [](const std::vector<std::string>& a, const std::vector<std::string>& b,
                          const char* sign, std::vector<std::string>& out) {
    for (const std::string& line : a) {
      if (std::find(b.begin(), b.end(), line) == b.end()) out.push_back(sign + line);
    }
  };
  only_in(ours, theirs, "- ", difference);
  only_in(theirs, ours, "+ ", difference);
  if (difference.empty() && ours != theirs) {
    difference.push_back("the same rules in another order; the first match decides");
  }
  return difference;
}

}  // namespace outrigger
