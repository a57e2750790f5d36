#include "config/merge_rules.h"

#include <algorithm>

#include "config/units.h"

namespace outrigger {
namespace {

struct Word {
  PathType type;
  std::string_view word;
};
constexpr Word kWords[] = {
    {PathType::kList, "list"},       {PathType::kKeyed, "keyed"},
    {PathType::kSet, "set"},         {PathType::kCounter, "counter"},
    {PathType::kBounded, "bounded"}, {PathType::kLww, "lww"},
    {PathType::kAtomic, "atomic"},   {PathType::kFirstWins, "first_wins"},
    {PathType::kMax, "max"},         {PathType::kMin, "min"},
    {PathType::kLongest, "longest"}, {PathType::kMultiValue, "multi_value"},
    {PathType::kUnion, "union"},     {PathType::kSite, "site"},
    {PathType::kPrefer, "prefer"},
};

constexpr std::string_view kRemoveWins = "remove_wins";

constexpr size_t kPreferredMax = 255;  // words, and bytes of each: as records hold them

bool is_printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string dotted(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ".") + name;
  return text;
}

const PathRule* first_match(const std::vector<PathRule>& rules,
                            const std::vector<std::string>& path, size_t depth) {
  for (const PathRule& rule : rules) {
    if (pattern_matches(rule.pattern, path, depth)) return &rule;
  }
  return nullptr;
}

// "prefer[a, b]" -> "a, b".
std::optional<std::string_view> inside(std::string_view text, std::string_view opening,
                                       std::string_view closing) {
  if (!text.starts_with(opening) || !text.ends_with(closing)) return std::nullopt;
  return text.substr(opening.size(), text.size() - opening.size() - closing.size());
}

std::string_view trimmed(std::string_view word) {
  while (word.starts_with(' ')) word.remove_prefix(1);
  while (word.ends_with(' ')) word.remove_suffix(1);
  return word;
}

std::optional<PathRule> parse_list(PathType type, std::string_view words) {
  PathRule rule;
  rule.type = type;
  for (;;) {
    const size_t comma = words.find(',');
    const std::string_view word = trimmed(words.substr(0, comma));
    const bool is_again =
        std::find(rule.preferred.begin(), rule.preferred.end(), word) != rule.preferred.end();
    if (word.empty() || word.size() > kPreferredMax || is_again || !is_printable(word)) {
      return std::nullopt;
    }
    rule.preferred.emplace_back(word);
    if (comma == std::string_view::npos) break;
    words.remove_prefix(comma + 1);
  }
  if (rule.preferred.size() < 2 || rule.preferred.size() > kPreferredMax) return std::nullopt;
  return rule;
}

// A field of the element itself.
std::optional<PathRule> parse_keyed(std::string_view field) {
  field = trimmed(field);
  const bool is_name = !field.empty() && field.front() != '$' && is_printable(field) &&
                       field.find_first_of(".()") == std::string_view::npos;
  if (!is_name) return std::nullopt;
  PathRule rule;
  rule.type = PathType::kKeyed;
  rule.key = field;
  return rule;
}

// The one way to have it otherwise.
std::optional<PathRule> parse_set(std::string_view word) {
  if (trimmed(word) != kRemoveWins) return std::nullopt;
  PathRule rule;
  rule.type = PathType::kSet;
  rule.removals_win = true;
  return rule;
}

std::optional<PathRule> parse_bounded(std::string_view numbers) {
  PathRule rule;
  rule.type = PathType::kBounded;
  rule.bounds = parse_bounds(numbers);
  return rule.bounds ? std::optional(rule) : std::nullopt;
}

}  // namespace

bool is_assigned(PathType type) {
  switch (type) {
    case PathType::kByOperation:
    case PathType::kList:
    case PathType::kKeyed:
    case PathType::kSet:
    case PathType::kCounter:
    case PathType::kBounded:
      return false;
    case PathType::kLww:
    case PathType::kAtomic:
    case PathType::kFirstWins:
    case PathType::kMax:
    case PathType::kMin:
    case PathType::kPrefer:
    case PathType::kSite:
    case PathType::kLongest:
    case PathType::kMultiValue:
    case PathType::kUnion:
      break;
  }
  return true;
}

std::string_view element_key_of(const PathRuling& ruling) {
  if (ruling.type == PathType::kKeyed) return ruling.rule->key;
  const bool is_list = ruling.type == PathType::kByOperation || ruling.type == PathType::kList;
  return is_list ? "_id" : "";
}

bool do_removals_win(const PathRuling& ruling) {
  return ruling.rule != nullptr && ruling.rule->removals_win;
}

bool is_kept_whole(PathType type) { return is_assigned(type) && type != PathType::kLww; }

bool is_contest(PathType type) { return is_kept_whole(type) && type != PathType::kAtomic; }

bool pattern_matches(const std::vector<std::string>& pattern, const std::vector<std::string>& path,
                     size_t depth) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (i >= depth) return false;
    if (pattern[i] == "**") return true;
    if (pattern[i] != "*" && pattern[i] != path[i]) return false;
    if (pattern[i] == "*" && path[i] == "**") return false;  // asked of a pattern: it says more
  }
  return pattern.size() == depth;
}

size_t MergeRules::rule_bytes_max() const {
  size_t most = 0;
  for (size_t i = 0; fields_ != nullptr && i < fields_->size(); ++i) {
    size_t bytes = 0;
    for (const std::string& text : (*fields_)[i].preferred) bytes += 2 + text.size();
    most = std::max(most, bytes);
  }
  return most;
}

PathRuling MergeRules::at(const std::vector<std::string>& path) const {
  PathRuling ruling;
  ruling.depth = path.size();
  if (empty() || path.empty() || path.front() == "_id") return ruling;
  for (size_t depth = 1; depth <= path.size(); ++depth) {
    const PathRule* rule = first_match(*fields_, path, depth);
    if (rule == nullptr || (depth < path.size() && !is_kept_whole(rule->type))) continue;
    return {rule->type, depth, rule};
  }
  return ruling;
}

const std::vector<std::string>& MergeRules::version_field() const {
  static const std::vector<std::string> kNone;
  return version_field_ == nullptr ? kNone : *version_field_;
}

bool MergeRules::gives_version(const std::vector<std::string>& path) const {
  const std::vector<std::string>& field = version_field();
  const size_t shared = std::min(field.size(), path.size());
  return shared > 0 &&
         std::equal(field.begin(), field.begin() + static_cast<ptrdiff_t>(shared), path.begin());
}

Escalation MergeRules::escalation(const std::vector<std::string>& path) const {
  const PathRule* rule = at(path).rule;
  return rule != nullptr && rule->escalate ? *rule->escalate : escalation_;
}

std::optional<PathType> path_type_of(std::string_view word) {
  for (const Word& each : kWords) {
    if (each.word == word) return each.type;
  }
  return std::nullopt;
}

std::string_view word_of(PathType type) {
  for (const Word& each : kWords) {
    if (each.type == type) return each.word;
  }
  return "by operation";
}

std::string path_type_words() {
  std::string words;
  for (const Word& each : kWords) {
    const bool is_prefer = each.type == PathType::kPrefer;  // the last
    words += (words.empty() ? "" : is_prefer ? " or " : ", ") + std::string(each.word);
    if (each.type == PathType::kKeyed) words += "(FIELD)";
    if (each.type == PathType::kSet) words += ", set(" + std::string(kRemoveWins) + ")";
    if (each.type == PathType::kBounded) words += "[LOW, HIGH]";
    if (each.type == PathType::kSite) words += "[WEAKEST, ..., STRONGEST]";
  }
  return words + "[WEAKEST, ..., STRONGEST]";
}

std::optional<PathRule> parse_path_type(std::string_view text) {
  if (const auto words = inside(text, "prefer[", "]")) return parse_list(PathType::kPrefer, *words);
  if (const auto sites = inside(text, "site[", "]")) return parse_list(PathType::kSite, *sites);
  if (const auto field = inside(text, "keyed(", ")")) return parse_keyed(*field);
  if (const auto word = inside(text, "set(", ")")) return parse_set(*word);
  if (const auto numbers = inside(text, "bounded[", "]")) return parse_bounded(*numbers);
  const auto type = path_type_of(text);
  const bool is_bare = type && *type != PathType::kPrefer && *type != PathType::kSite &&
                       *type != PathType::kKeyed && *type != PathType::kBounded;
  if (!is_bare) return std::nullopt;
  PathRule rule;
  rule.type = *type;
  return rule;
}

std::optional<std::vector<std::string>> parse_pattern(std::string_view dotted_names) {
  std::vector<std::string> names;
  for (;;) {
    const size_t dot = dotted_names.find('.');
    const std::string_view name = dotted_names.substr(0, dot);
    const bool is_last = dot == std::string_view::npos;
    const bool has_star = name.find('*') != std::string_view::npos;
    if (has_star && name != "*" && (name != "**" || !is_last)) return std::nullopt;
    if (name.empty() || name.front() == '$' || !is_printable(name)) return std::nullopt;
    names.emplace_back(name);
    if (is_last) return names;
    dotted_names.remove_prefix(dot + 1);
  }
}

std::string text_of(const PathRule& rule) {
  std::string text = dotted(rule.pattern) + " = " + std::string(word_of(rule.type));
  for (const std::string& each : rule.preferred) {
    text += (&each == &rule.preferred.front() ? "[" : ", ") + each;
  }
  if (!rule.preferred.empty()) text += "]";
  if (!rule.key.empty()) text += "(" + rule.key + ")";
  if (rule.removals_win) text += "(" + std::string(kRemoveWins) + ")";
  if (rule.bounds) text += text_of(*rule.bounds);
  return rule.escalate ? text + ", escalate: " + text_of(*rule.escalate) : text;
}

std::string text_of(const Escalation& escalation) {
  std::string where;
  if (escalation.differs_by) where = "differs_by: " + number_text(*escalation.differs_by);
  if (escalation.older_than_ms) {
    where +=
        (where.empty() ? "" : ", ") + ("older_than: " + duration_text(*escalation.older_than_ms));
  }
  if (!where.empty()) return "{" + where + "}";
  return escalation.always ? "true" : "false";
}

std::string why_no_rule(const std::vector<PathRule>& rules, size_t at) {
  const PathRule& rule = rules[at];
  if (rule.pattern.front() == "_id") return "_id never changes, so nothing of it merges";
  // A pattern is taken for a path whose names are like no others.
  for (size_t i = 0; i < at; ++i) {
    if (!pattern_matches(rules[i].pattern, rule.pattern, rule.pattern.size())) continue;
    return "the first match decides, and '" + dotted(rules[i].pattern) + "' takes all of it";
  }
  for (size_t depth = 1; depth < rule.pattern.size(); ++depth) {
    const PathRule* above = first_match(rules, rule.pattern, depth);
    if (above == nullptr || !is_kept_whole(above->type)) continue;
    return "what lies below '" + dotted(above->pattern) + "' is a part of one value, as that is " +
           std::string(word_of(above->type));
  }
  return {};
}

}  // namespace outrigger
