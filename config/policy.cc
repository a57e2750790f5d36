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
                    (rule.inserts == InsertPolicy::kMerge ? ", inserts: merge" : "") +
                    (rule.unique == UniquePolicy::kKeep ? ", unique: keep" : "") +
                    (rule.version_field.empty() ? "" : ", version_field: " + dotted(rule)) +
                    (rule.escalate == Escalation() ? "" : ", escalate: " + text_of(rule.escalate)));
    for (const PathRule& field : rule.fields) {
      lines.push_back("namespace: " + rule.namespace_glob + ", field: " + text_of(field));
    }
  }
  return lines;
}

// What does not travel, and what before it takes something from that.
std::vector<std::string> selection_of(const std::vector<ReplicateRule>& rules) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < rules.size(); ++i) {
    const bool matters =
        !rules[i].replicate ||
        std::any_of(rules.begin() + static_cast<std::ptrdiff_t>(i), rules.end(),
                    [&](const ReplicateRule& later) {
                      return !later.replicate &&
                             globs_overlap(rules[i].namespace_glob, later.namespace_glob);
                    });
    if (!matters) continue;
    lines.push_back((rules[i].replicate ? "+ " : "- ") + rules[i].namespace_glob);
  }
  return lines;
}

uint64_t hash_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace

Policy::Rules::Rules(const Settings& settings)
    : equal_set(settings.equal_set),
      rules(settings.replicate),
      lines(normal_form(settings)),
      hash(hash_lines(lines)),
      selection(hash_lines(selection_of(settings.replicate))),
      text(settings.rules_text) {}

Policy::Policy(const Settings& settings) : site_(settings.site), now_(nullptr) {
  change_to(settings);
}

void Policy::change_to(const Settings& rules) {
  auto changed = std::make_unique<const Rules>(rules);
  const MutexLock lock(mutex_);
  const auto same = std::find_if(all_.begin(), all_.end(), [&](const auto& each) {
    return each->lines == changed->lines && each->text == changed->text;
  });
  const Rules* now = same == all_.end() ? changed.get() : same->get();
  if (same == all_.end()) all_.push_back(std::move(changed));
  now_.store(now, std::memory_order_release);
}

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
  const Rules& rules = now();
  for (const ReplicateRule& rule : rules.rules) {
    if (glob_matches(rule.namespace_glob, ns)) return rule;
  }
  return rules.otherwise;
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

// By rows: which ends of `b` can go on from here, having matched as much of `a`.
bool globs_overlap(std::string_view a, std::string_view b) {
  std::vector<bool> reached(b.size() + 1);
  reached[0] = true;
  const auto over_stars = [&] {  // of b, which may stand for nothing
    for (size_t j = 0; j < b.size(); ++j)
      reached[j + 1] = reached[j + 1] || (reached[j] && b[j] == '*');
  };
  over_stars();
  for (const char c : a) {
    std::vector<bool> next(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) {
      if (!reached[j]) continue;
      if (c == '*') {
        std::fill(next.begin() + static_cast<std::ptrdiff_t>(j), next.end(), true);
        break;
      }
      if (j == b.size()) continue;
      if (b[j] == '*') next[j] = true;
      if (b[j] == c) next[j + 1] = true;
    }
    if (std::find(next.begin(), next.end(), true) == next.end()) return false;
    reached = std::move(next);
    over_stars();
  }
  return reached[b.size()];
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
