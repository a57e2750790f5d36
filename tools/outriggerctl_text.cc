#include "tools/outriggerctl_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace outrigger::ctl {
namespace {

bool starts_character(char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }

}  // namespace

std::string paint(std::string_view text, Colour colour, const Look& look) {
  if (!look.colours || colour == Colour::kNone) return std::string(text);
  constexpr std::array<std::string_view, 5> kCodes = {"0", "1", "32", "33", "31"};
  return fmt::format("\033[{}m{}\033[0m", kCodes[static_cast<size_t>(colour)], text);
}

std::string safe(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<uint8_t>(text[i + 1]) : uint8_t{0};
    // U+0080 to U+009F, which some terminals obey.
    const bool high_control = byte == 0xc2 && next >= 0x80 && next < 0xa0;
    out += byte < 0x20 || byte == 0x7f || high_control ? '?' : text[i];
    if (high_control) ++i;
  }
  return out;
}

size_t columns(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

std::string shorten(std::string_view text, size_t columns_max) {
  if (columns(text) <= columns_max) return std::string(text);
  constexpr std::string_view kCut = "...";
  const size_t kept_max = columns_max > kCut.size() ? columns_max - kCut.size() : 0;
  size_t end = 0;
  for (size_t kept = 0; end < text.size(); ++end) {
    if (starts_character(text[end]) && kept++ == kept_max) break;
  }
  return std::string(text.substr(0, end)).append(kCut);
}

std::string count(int64_t number) {
  std::string digits = std::to_string(number);
  const size_t first = number < 0 ? 1 : 0;
  for (size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string count(int64_t number, std::string_view one) {
  return fmt::format("{} {}{}", count(number), one, number == 1 ? "" : "s");
}

std::string bytes(int64_t number) {
  if (number < 1024) return fmt::format("{} B", number);
  constexpr std::array<std::string_view, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(number) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string duration(int64_t ms) {
  constexpr int64_t kMinute = 60'000;
  constexpr int64_t kHour = 60 * kMinute;
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < kMinute) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  if (ms < 2 * kHour) return fmt::format("{} min", ms / kMinute);
  if (ms < 48 * kHour) return fmt::format("{} h", ms / kHour);
  return fmt::format("{} d", ms / (24 * kHour));
}

std::string table(const std::vector<Row>& rows, const Look& look) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], columns(row[i].text));
    }
  }
  std::string out;
  for (size_t r = 0; r < rows.size(); ++r) {
    size_t owed = 0;  // blanks, written only when something follows
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const Cell& cell = rows[r][i];
      if (!cell.text.empty()) {
        out +=
            std::string(owed, ' ') + paint(cell.text, r == 0 ? Colour::kBold : cell.colour, look);
        owed = 0;
      }
      owed += widths[i] - columns(cell.text) + 2;
    }
    out += '\n';
  }
  return out;
}

}  // namespace outrigger::ctl
