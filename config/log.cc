#include "config/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>

#include "config/printable.h"

namespace outrigger {
namespace {

void append_json_text(std::string_view text, spdlog::memory_buf_t& out) {
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
}

// The message on one line.
class PlainTextFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string text = printable({message.payload.data(), message.payload.size()});
    out.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PlainTextFlag>();
  }
};

// The message as the inside of a JSON string.
class JsonTextFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    append_json_text({message.payload.data(), message.payload.size()}, out);
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonTextFlag>();
  }
};

std::unique_ptr<spdlog::formatter> make_formatter(LogFormat format) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  if (format == LogFormat::kJson) {
    formatter->add_flag<JsonTextFlag>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","module":"%n","message":"%*"})");
  } else {
    formatter->add_flag<PlainTextFlag>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%-5l%$ %n: %*");
  }
  return formatter;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

bool is_secret_option(std::string option) {
  for (char& c : option) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return option.find("password") != std::string::npos || option == "authmechanismproperties";
}

}  // namespace

Log::Log(const LogSettings& settings)
    : Log(settings, std::make_shared<spdlog::sinks::stderr_color_sink_mt>()) {}

Log::Log(const LogSettings& settings, std::shared_ptr<spdlog::sinks::sink> sink)
    : settings_(settings), sink_(std::move(sink)) {
  sink_->set_formatter(make_formatter(settings_.format));
}

Logger Log::module(const std::string& name) const {
  auto logger = std::make_shared<spdlog::logger>(name, sink_);
  logger->set_level(to_spdlog(settings_.level));
  logger->flush_on(spdlog::level::info);
  return logger;
}

Logger null_logger() {
  auto logger =
      std::make_shared<spdlog::logger>("null", std::make_shared<spdlog::sinks::null_sink_mt>());
  logger->set_level(spdlog::level::off);
  return logger;
}

std::string redact_uri(const std::string& uri) {
  const size_t scheme = uri.find("://");
  const size_t start = scheme == std::string::npos ? 0 : scheme + 3;
  // The last '@' of all: a password pasted in without escaping may itself hold '@', '/' or '?'.
  const size_t at = uri.rfind('@');
  std::string text = uri;
  if (at != std::string::npos && at >= start) text = uri.substr(0, start) + "***" + uri.substr(at);
  for (size_t option = text.find('?'); option != std::string::npos;) {
    const size_t end = std::min(text.find_first_of("&;", option + 1), text.size());
    const size_t equals = text.find('=', option);
    if (equals < end && is_secret_option(text.substr(option + 1, equals - option - 1))) {
      text.replace(equals + 1, end - equals - 1, "***");
    }
    option = text.find_first_of("&;", option + 1);
  }
  return text;
}

}  // namespace outrigger
