// Log lines on stderr, as text for people or JSON for machines. main() owns one Log and hands
// each module its own named logger; pure code logs nothing.
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <string>

#include "config/settings.h"

namespace outrigger {

using Logger = std::shared_ptr<spdlog::logger>;

class Log {
 public:
  // To stderr.
  explicit Log(const LogSettings& settings);
  // To any sink, for tests.
  Log(const LogSettings& settings, std::shared_ptr<spdlog::sinks::sink> sink);

  // A logger whose lines carry `name` ("link", "outbox"). Thread-safe, and may outlive the Log.
  [[nodiscard]] Logger module(const std::string& name) const;

 private:
  LogSettings settings_;
  std::shared_ptr<spdlog::sinks::sink> sink_;
};

// Swallows everything; for tests and for modules used without a log.
[[nodiscard]] Logger null_logger();

// "mongodb://user:password@host/?x" -> "mongodb://***@host/?x". Every URI that reaches a log
// line, an error or /status goes through this.
[[nodiscard]] std::string redact_uri(const std::string& uri);

}  // namespace outrigger
