#include "config/bounds.h"

#include <charconv>
#include <cmath>

#include "config/units.h"

namespace outrigger {
namespace {

constexpr double kNumberMax = 9007199254740992;  // doubles hold whole numbers up to here

std::optional<double> parse_bound(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  if (text == "inf") return INFINITY;
  if (text == "-inf") return -INFINITY;
  if (text.find_first_not_of("0123456789.-+eE") != std::string_view::npos) return std::nullopt;
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [last, wrong] = std::from_chars(text.data(), end, number);
  if (wrong != std::errc{} || last != end || std::abs(number) > kNumberMax) return std::nullopt;
  return number + 0.0;  // no -0
}

std::string bound_text(double bound) {
  if (std::isinf(bound)) return bound > 0 ? "inf" : "-inf";
  return number_text(bound);
}

}  // namespace

bool are_bounds(const Bounds& bounds) {
  return bounds.low <= bounds.high && bounds.low < INFINITY && bounds.high > -INFINITY &&
         (std::isfinite(bounds.low) || std::isfinite(bounds.high));
}

std::optional<Bounds> parse_bounds(std::string_view text) {
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const auto low = parse_bound(text.substr(0, comma));
  const auto high = parse_bound(text.substr(comma + 1));
  if (!low || !high || !are_bounds({*low, *high})) return std::nullopt;
  return Bounds{*low, *high};
}

std::string text_of(const Bounds& bounds) {
  return "[" + bound_text(bounds.low) + ", " + bound_text(bounds.high) + "]";
}

}  // namespace outrigger
