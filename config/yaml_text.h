// YAML as text: one document read whole, with where it is no YAML; and written again so that a
// reader who does not trust its author may read it. There each thing stands where it is meant:
// through an alias a few bytes become millions of nodes.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>

#include "config/result.h"

namespace outrigger {

struct YamlText {
  YAML::Node root;
  bool has_alias = false;
};

// `file` only appears in errors.
[[nodiscard]] Result<YamlText> parse_yaml(const std::string& text, const std::string& file);

// Without aliases, anchors, tags and comments.
[[nodiscard]] std::string plain_yaml(const YAML::Node& node);

}  // namespace outrigger
