// Small words of outriggerctl: quantities, safe text, tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/outriggerctl_view.h"

namespace outrigger::ctl {

enum class Colour { kNone, kBold, kGreen, kYellow, kRed };

// `text` in `colour` if the look has colours.
[[nodiscard]] std::string paint(std::string_view text, Colour colour, const Look& look);

// `text` with control characters (those above ASCII, too) as '?'.
[[nodiscard]] std::string safe(std::string_view text);
// At most `columns_max` characters of `text`, "..." in place of what is cut.
[[nodiscard]] std::string shorten(std::string_view text, size_t columns_max);
// Characters (code points), which is what a terminal gives one column each, nearly always.
[[nodiscard]] size_t columns(std::string_view text);

// "1,234,567"
[[nodiscard]] std::string count(int64_t number);
// "3 records", "1 record"
[[nodiscard]] std::string count(int64_t number, std::string_view one);
// "512 B", "1.4 MiB"
[[nodiscard]] std::string bytes(int64_t number);
// "12 ms", "3.2 s", "4 min", "5 h", "6 d"
[[nodiscard]] std::string duration(int64_t ms);

struct Cell {
  std::string text;
  Colour colour = Colour::kNone;
};
using Row = std::vector<Cell>;

// Columns as wide as their widest cell, two blanks between them; the first row is the head.
[[nodiscard]] std::string table(const std::vector<Row>& rows, const Look& look);

}  // namespace outrigger::ctl
