// Settings files that are wrong, as cases: what is in them, and the words a person gets for it.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "config/loader.h"

namespace outrigger::testing {

// Three lines that load; what a case adds starts on line 4.
inline constexpr const char* kMinimal =
    "site: paris\n"
    "data_dir: /var/lib/outrigger\n"
    "store: {uri: 'mongodb://127.0.0.1:27017/'}\n";

// Empty: it loads.
inline std::string errors_of(const std::string& yaml) {
  const auto result = parse_settings(yaml, "f.yaml");
  return result ? "" : describe(result.error());
}

struct BadCase {
  const char* name;
  const char* yaml;    // behind kMinimal, or by itself if it begins with "#whole"
  const char* place;   // "file:line: key", at the start of a line of the message
  const char* reason;  // what follows it
};

inline void PrintTo(const BadCase& bad, std::ostream* out) { *out << bad.name; }

inline void expect_refused(const BadCase& bad) {
  const std::string extra = bad.yaml;
  const bool whole = extra.starts_with("#whole\n");
  const std::string message = errors_of(whole ? extra.substr(7) : kMinimal + extra);
  const std::string wanted = std::string(bad.place) + ": " + bad.reason;
  const bool at_start = message.starts_with(wanted);
  EXPECT_TRUE(at_start || message.find("\n" + wanted) != std::string::npos)
      << "wanted: " << wanted << "\nfound:  " << message;
}

}  // namespace outrigger::testing
