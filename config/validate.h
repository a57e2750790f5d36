// The second half of loading: each value is legal by itself, but do they fit together?
#pragma once

#include <map>
#include <string>

#include "config/settings.h"
#include "config/yaml_reader.h"

namespace outrigger {

// Where each value that can contradict another stands in the file, by key path.
using Places = std::map<std::string, YamlValue>;

// Reports every contradiction to `errors`.
void validate(const Settings& settings, const Places& places, YamlErrors& errors);
// Those of the rules among each other.
void validate_rules(const Settings& rules, const Places& places, YamlErrors& errors);

}  // namespace outrigger
