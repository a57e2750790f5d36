#include "config/yaml_reader.h"

#include <charconv>
#include <utility>

#include "config/log.h"
#include "config/units.h"

namespace outrigger {
namespace {

constexpr size_t kFoundBytesMax = 60;

std::string found_text(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar: {
      std::string text = redact_uri(node.Scalar());
      if (text.size() > kFoundBytesMax) text = text.substr(0, kFoundBytesMax) + "...";
      return "'" + text + "'";
    }
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a mapping";
    default:
      return "nothing";
  }
}

std::string child_path(const std::string& parent, const std::string& key) {
  if (parent.empty() || key.empty()) return parent + key;
  return parent + "." + key;
}

// A quoted scalar is text, whatever it looks like.
bool is_plain(const YAML::Node& node) { return node.IsScalar() && node.Tag() != "!"; }

}  // namespace

void YamlErrors::expected(const YamlValue& at, const std::string& what, const std::string& hint) {
  refuse(at, ErrorCode::kInvalidArgument, "expected " + what + ", found " + found_text(at.node),
         hint);
}

void YamlErrors::refuse(const YamlValue& at, ErrorCode code, const std::string& reason,
                        const std::string& hint) {
  std::string object = file_ + ":" + std::to_string(at.line);
  if (!at.path.empty()) object += ": " + redact_uri(at.path);  // a URI may stand as a key
  errors_.emplace(at.line, Error{code, "", std::move(object), reason, hint});
}

std::vector<Error> YamlErrors::take() {
  std::vector<Error> errors;
  for (auto& [line, error] : errors_) errors.push_back(std::move(error));
  errors_.clear();
  return errors;
}

std::optional<std::string> read_text(YamlErrors& errors, const YamlValue& value,
                                     const std::string& what) {
  if (value.node.IsScalar() && !value.node.Scalar().empty()) return value.node.Scalar();
  errors.expected(value, what);
  return std::nullopt;
}

std::optional<bool> read_bool(YamlErrors& errors, const YamlValue& value) {
  if (is_plain(value.node)) {
    if (value.node.Scalar() == "true") return true;
    if (value.node.Scalar() == "false") return false;
  }
  errors.expected(value, "true or false");
  return std::nullopt;
}

std::optional<uint32_t> read_number(YamlErrors& errors, const YamlValue& value, uint32_t min,
                                    uint32_t max) {
  if (is_plain(value.node)) {
    const std::string& text = value.node.Scalar();
    uint32_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && rest == text.data() + text.size();
    if (whole && number >= min && number <= max) return number;
  }
  errors.expected(value,
                  "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  return std::nullopt;
}

std::optional<Endpoint> read_endpoint(YamlErrors& errors, const YamlValue& value) {
  if (value.node.IsScalar()) {
    if (auto endpoint = parse_endpoint(value.node.Scalar())) return endpoint;
  }
  errors.expected(value, kEndpointForm);
  return std::nullopt;
}

std::vector<YamlValue> read_list(YamlErrors& errors, const YamlValue& value,
                                 const std::string& what) {
  std::vector<YamlValue> items;
  if (!value.node.IsSequence()) {
    errors.expected(value, "a list of " + what);
    return items;
  }
  for (const YAML::Node& node : value.node) {
    const std::string path = value.path + "[" + std::to_string(items.size()) + "]";
    items.push_back({node, path, node.Mark().line + 1});
  }
  return items;
}

YamlMap::YamlMap(YamlErrors& errors, const YamlValue& value) : errors_(errors), self_(value) {
  if (!value.node.IsMap()) {
    errors_.expected(self_, "a mapping of keys to values");
    return;
  }
  is_map_ = true;
  std::map<std::string, int> first_line;
  for (const auto& pair : value.node) {
    const int line = pair.first.Mark().line + 1;
    if (!pair.first.IsScalar()) {
      errors_.expected({pair.first, self_.path, line}, "a key that is a plain name");
      continue;
    }
    const std::string& key = pair.first.Scalar();
    YamlValue child{pair.second, child_path(self_.path, key), line};
    const auto [seen, is_new] = first_line.emplace(key, line);
    if (is_new) {
      left_.emplace(key, std::move(child));
    } else {
      errors_.refuse(
          child, ErrorCode::kInvalidArgument,
          "expected each key once, found it again; first on line " + std::to_string(seen->second),
          "remove one of the two");
    }
  }
}

std::optional<YamlValue> YamlMap::take(const std::string& key) {
  known_.push_back(key);
  const auto found = left_.find(key);
  if (found == left_.end()) return std::nullopt;
  YamlValue value = std::move(found->second);
  left_.erase(found);
  return value;
}

std::optional<YamlValue> YamlMap::require(const std::string& key, const std::string& what) {
  auto value = take(key);
  if (!value && is_map_) {
    errors_.refuse(at(key), ErrorCode::kInvalidArgument, "expected " + what + ", found no such key",
                   "add it");
  }
  return value;
}

YamlValue YamlMap::at(const std::string& key) const {
  return {YAML::Node(), child_path(self_.path, key), self_.line};
}

void YamlMap::finish() {
  std::string names;
  for (const std::string& name : known_) names += (names.empty() ? "" : ", ") + name;
  for (const auto& [key, value] : left_) {
    errors_.refuse(value, ErrorCode::kInvalidArgument, "unknown key", "known here: " + names);
  }
  left_.clear();
}

}  // namespace outrigger
