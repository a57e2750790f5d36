#include "replication/causality/stamp.h"

#include <fmt/format.h>

#include <ctime>

namespace outrigger {
namespace {

std::string time_text(int64_t ms) {
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms % 1000);
}

}  // namespace

std::string to_hex(const SiteId& site) {
  std::string out;
  for (const uint8_t byte : site) out += fmt::format("{:02x}", byte);
  return out;
}

std::string to_hex(const Origin& origin) {
  return fmt::format("{}/{:016x}", to_hex(origin.site), origin.epoch);
}

std::string to_text(const Origin& origin) {
  return fmt::format("{:02x}{:02x}…/{:02x}…", origin.site[0], origin.site[1], origin.epoch >> 56);
}

std::string to_text(const Dot& dot) {
  if (dot.is_zero()) return "0";
  const Hlc counter = dot.hlc & ((Hlc{1} << kHlcCounterBits) - 1);
  std::string text = time_text(hlc_ms(dot.hlc));
  if (counter != 0) text += fmt::format("+{}", counter);
  return text + "@" + to_text(dot.origin);
}

}  // namespace outrigger
