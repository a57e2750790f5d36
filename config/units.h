// Sizes, durations and addresses as people write them: "10GiB", "30d", "127.0.0.1:27017".
// Strict on purpose: a number without a unit, or with one that could mean two things (GB), is
// refused rather than guessed. All functions are pure; nullopt means "not in this form".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/settings.h"

namespace outrigger {

inline constexpr const char* kSizeForm = "a size such as 512MiB or 10GiB";
inline constexpr const char* kDurationForm = "a duration such as 500ms, 60s, 15m, 12h or 30d";
inline constexpr const char* kAmountForm = "a number such as 10 or 0.5, not below 0";
inline constexpr const char* kEndpointForm = "host:port such as 127.0.0.1:27117 or [::1]:27117";

// Units B, KiB, MiB, GiB, TiB. In bytes.
[[nodiscard]] std::optional<uint64_t> parse_size(std::string_view text);

// Units ms, s, m, h, d. In milliseconds.
[[nodiscard]] std::optional<int64_t> parse_duration_ms(std::string_view text);

// 2592000000 -> "30d": in the largest unit that says it exactly.
[[nodiscard]] std::string duration_text(int64_t ms);

// A number, whole or not, that is not below zero: "10", "0.5".
[[nodiscard]] std::optional<double> parse_amount(std::string_view text);
[[nodiscard]] std::string number_text(double number);

// The port is 1 to 65535; an IPv6 host stands in brackets.
[[nodiscard]] std::optional<Endpoint> parse_endpoint(std::string_view text);

}  // namespace outrigger
