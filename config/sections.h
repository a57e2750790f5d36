// Parts of the settings file that are read apart from the rest: `proxy`, and TLS files wherever
// they stand.
#pragma once

#include "config/settings.h"
#include "config/validate.h"
#include "config/yaml_reader.h"

namespace outrigger {

// What is wrong in them is reported; `places` learns where what can contradict something stands.
void read_proxy(YamlErrors& errors, const YamlValue& value, ProxySettings& into, Places& places);
[[nodiscard]] TlsSettings read_tls(YamlErrors& errors, const YamlValue& value, bool needs_ca);
void read_endpoint(YamlErrors& errors, const YamlValue& value, Places& places, Endpoint* into);

}  // namespace outrigger
