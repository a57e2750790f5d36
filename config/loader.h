// Settings come from one YAML file that a person wrote, so the reader's work is to say exactly
// what is wrong: file, line, key, what was expected, what to do. Everything is checked in one
// pass and all errors are returned together. Nothing is guessed: unknown keys, keys given twice,
// wrong types, values that contradict each other and values this version knows but does not
// implement yet are all refused.
#pragma once

#include <string>
#include <vector>

#include "config/result.h"
#include "config/settings.h"

namespace outrigger {

// Error.object is "file:line: key.path", Error.reason "expected ..., found ...".
using SettingsResult = tl::expected<Settings, std::vector<Error>>;

// Reads the file at `path`. Touches nothing else but the TLS files it names, which must be
// readable.
[[nodiscard]] SettingsResult load_settings(const std::string& path);

// The same for text already in memory; `file` only appears in errors.
[[nodiscard]] SettingsResult parse_settings(const std::string& text, const std::string& file);

// The same for what Settings::rules_text says: only what it is about is filled in.
[[nodiscard]] SettingsResult parse_rules(const std::string& text, const std::string& file);

// One error a line.
[[nodiscard]] std::string describe(const std::vector<Error>& errors);

// What is allowed but deserves a warning in the log at every start (unencrypted peers, an open
// admin port).
[[nodiscard]] std::vector<std::string> warnings(const Settings& settings);

}  // namespace outrigger
