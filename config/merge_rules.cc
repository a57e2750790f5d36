#include "config/merge_rules.h"

#include <algorithm>

namespace outrigger {
namespace {

struct Word {
  PathType type;
  std::string_view word;
};
constexpr Word kWords[] = {
    {PathType::kList, "list"},
    {PathType::kCounter, "counter"},
    {PathType::kLww, "lww"},
    {PathType::kAtomic, "atomic"},
};

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

}  // namespace

bool is_assigned(PathType type) {
  switch (type) {
    case PathType::kByOperation:
    case PathType::kList:
    case PathType::kCounter:
      return false;
    case PathType::kLww:
    case PathType::kAtomic:
      break;
  }
  return true;
}

bool is_kept_whole(PathType type) { return is_assigned(type) && type != PathType::kLww; }

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
    const bool is_last = &each == std::end(kWords) - 1;
    words += (words.empty() ? "" : is_last ? " or " : ", ") + std::string(each.word);
  }
  return words;
}

std::optional<std::vector<std::string>> parse_pattern(std::string_view dotted_names) {
  std::vector<std::string> names;
  for (;;) {
    const size_t dot = dotted_names.find('.');
    const std::string_view name = dotted_names.substr(0, dot);
    const bool is_last = dot == std::string_view::npos;
    const bool has_star = name.find('*') != std::string_view::npos;
    if (has_star && name != "*" && (name != "**" || !is_last)) return std::nullopt;
    const bool is_printable = std::none_of(name.begin(), name.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
    if (name.empty() || name.front() == '$' || !is_printable) return std::nullopt;
    names.emplace_back(name);
    if (is_last) return names;
    dotted_names.remove_prefix(dot + 1);
  }
}

std::string text_of(const PathRule& rule) {
  return dotted(rule.pattern) + " = " + std::string(word_of(rule.type));
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
