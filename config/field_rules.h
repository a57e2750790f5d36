// The `fields` and `escalate` of a rule, as a person writes them.
#pragma once

#include <vector>

#include "config/settings.h"
#include "config/yaml_reader.h"

namespace outrigger {

// In the order of the file. What is no rule, or can have no say, is reported and left out.
// `beside_versions`: the rule has a version_field.
[[nodiscard]] std::vector<PathRule> read_field_rules(YamlErrors& errors, const YamlValue& fields,
                                                     bool beside_versions);

// The path of a field; empty and reported: it is none.
[[nodiscard]] std::vector<std::string> read_version_field(YamlErrors& errors,
                                                          const YamlValue& value);
// Beside a path's type, or beside a namespace.
[[nodiscard]] Escalation read_escalation(YamlErrors& errors, const YamlValue& value);

}  // namespace outrigger
