#include "config/field_rules.h"

#include "config/limits.h"
#include "config/merge_rules.h"
#include "config/units.h"

namespace outrigger {
namespace {

constexpr const char* kPatternForm =
    "names between dots, * for any one name, ** at the end for all that follow";

constexpr const char* kFieldForm = "the path of one field, such as __v, and not _id";
constexpr const char* kEscalationForm =
    "true, false, or where: {differs_by: NUMBER}, {older_than: DURATION} or both";

bool read_word(YamlErrors& errors, const YamlValue& value, PathRule& rule) {
  const auto word = read_text(errors, value, path_type_words());
  if (!word) return false;
  auto type = parse_path_type(*word);
  if (!type) {
    errors.expected(value, word->starts_with("bounded") ? kBoundsForm : path_type_words());
    return false;
  }
  rule = *std::move(type);
  return true;
}

// A word, or {type: WORD, escalate: ...}.
bool read_type(YamlErrors& errors, const YamlValue& value, PathRule& rule) {
  if (!value.node.IsMap()) return read_word(errors, value, rule);
  YamlMap map(errors, value);
  const auto type = map.require("type", path_type_words());
  const bool is_good = type && read_word(errors, *type, rule);
  if (const auto escalate = map.take("escalate")) {
    rule.escalate = read_escalation(errors, *escalate);
  }
  map.finish();
  return is_good;
}

}  // namespace

Escalation read_escalation(YamlErrors& errors, const YamlValue& value) {
  Escalation escalation;
  if (value.node.IsScalar()) {
    escalation.always = read_bool(errors, value).value_or(false);
    return escalation;
  }
  if (!value.node.IsMap()) {
    errors.expected(value, kEscalationForm);
    return escalation;
  }
  YamlMap map(errors, value);
  const auto scalar = [](const YamlValue& at) {
    return at.node.IsScalar() ? at.node.Scalar() : std::string();
  };
  const auto differs_by = map.take("differs_by");
  if (differs_by) {
    escalation.differs_by = parse_amount(scalar(*differs_by));
    if (!escalation.differs_by) errors.expected(*differs_by, kAmountForm);
  }
  const auto older_than = map.take("older_than");
  if (older_than) {
    escalation.older_than_ms = parse_duration_ms(scalar(*older_than));
    if (!escalation.older_than_ms) errors.expected(*older_than, kDurationForm);
  }
  map.finish();
  if (!differs_by && !older_than) errors.expected(value, kEscalationForm);
  return escalation;
}

std::vector<std::string> read_version_field(YamlErrors& errors, const YamlValue& value) {
  const auto text = read_text(errors, value, kFieldForm);
  if (!text) return {};
  const auto path = text->find('*') == std::string::npos ? parse_pattern(*text) : std::nullopt;
  if (path && path->front() != "_id") return *path;
  errors.expected(value, kFieldForm);
  return {};
}

std::vector<PathRule> read_field_rules(YamlErrors& errors, const YamlValue& fields,
                                       bool beside_versions) {
  std::vector<PathRule> rules;
  std::vector<YamlValue> places;
  YamlMap map(errors, fields);
  if (!fields.node.IsMap()) return rules;
  if (fields.node.size() > limits::kRulesMax) {
    errors.expected(fields, "at most " + std::to_string(limits::kRulesMax) + " patterns");
    return rules;
  }
  for (const auto& pair : fields.node) {
    if (!pair.first.IsScalar()) continue;  // reported
    const std::string& key = pair.first.Scalar();
    const auto value = map.take(key);
    if (!value) continue;  // a second time: reported
    auto pattern = key.size() > limits::kPatternBytesMax ? std::nullopt : parse_pattern(key);
    if (!pattern) {
      errors.refuse(*value, ErrorCode::kInvalidArgument,
                    std::string("expected ") + kPatternForm + ", found '" + key + "'");
      continue;
    }
    PathRule rule;
    if (!read_type(errors, *value, rule)) continue;
    if (beside_versions && is_contest(rule.type)) {
      errors.refuse(
          *value, ErrorCode::kInvalidArgument,
          "expected no '" + std::string(word_of(rule.type)) +
              "' beside version_field: it would show a value of one version in another",
          "remove one of the two; beside versions paths may be list, keyed, set, counter, "
          "bounded, lww or atomic");
      continue;
    }
    rule.pattern = *std::move(pattern);
    rule.line = value->line;
    rules.push_back(std::move(rule));
    places.push_back(*value);
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    const std::string why = why_no_rule(rules, i);
    if (why.empty()) continue;
    errors.refuse(places[i], ErrorCode::kInvalidArgument, "expected a rule that can hold: " + why,
                  "remove it, or put it first");
  }
  return rules;
}

}  // namespace outrigger
