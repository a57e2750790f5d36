// Between what a number stays, as people write it: "[0, 500]", "[-inf, 5]". They are the rule of a
// path (config/merge_rules.h), and increments made under it carry them to other sites.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace outrigger {

inline constexpr const char* kBoundsForm =
    "bounded[LOW, HIGH]: two numbers of at most 2^53, the lower one first, one of them may be -inf "
    "or inf";

struct Bounds {
  double low = 0;   // -infinity: there is none
  double high = 0;  // infinity: likewise
  friend bool operator==(const Bounds&, const Bounds&) = default;
};

// Can these be meant: some number is beyond them, and some is not?
[[nodiscard]] bool are_bounds(const Bounds& bounds);
// "0, 500"; nothing where that is none.
[[nodiscard]] std::optional<Bounds> parse_bounds(std::string_view text);
// "[0, 500]"
[[nodiscard]] std::string text_of(const Bounds& bounds);

}  // namespace outrigger
