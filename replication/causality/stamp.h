// Stamps order writes across sites. A stamp is a hybrid logical clock reading (Kulkarni et al.
// 2014): 48 bits of Unix milliseconds, 16 bits of counter. Stamps of one origin strictly increase
// and causes precede effects, so (stamp, origin) is both the unique name of a commit (its dot) and
// the last-writer-wins key. An origin is one run of one site's process: a new random epoch at every
// start, so that a restored disk can never issue a stamp twice.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace outrigger {

using Hlc = uint64_t;  // milliseconds << 16 | counter; 0 is "before everything", never issued

inline constexpr int kHlcCounterBits = 16;
inline constexpr Hlc kHlcMax = UINT64_MAX;

[[nodiscard]] constexpr Hlc hlc_from_ms(int64_t wall_ms) {
  return wall_ms <= 0 ? 0 : static_cast<Hlc>(wall_ms) << kHlcCounterBits;
}
[[nodiscard]] constexpr int64_t hlc_ms(Hlc hlc) {
  return static_cast<int64_t>(hlc >> kHlcCounterBits);
}

using SiteId = std::array<uint8_t, 16>;

// No run's epoch: stands for all retired epochs of a site (version_vector.h).
inline constexpr uint64_t kRetired = 0;

struct Origin {
  SiteId site{};
  uint64_t epoch = 0;
  friend auto operator<=>(const Origin&, const Origin&) = default;
};

// The name of one commit. Ordered by clock, ties by origin: the last-writer-wins order.
struct Dot {
  Hlc hlc = 0;  // 0: stable everywhere, no metadata kept ("stamp zero")
  Origin origin;
  friend auto operator<=>(const Dot&, const Dot&) = default;
  [[nodiscard]] bool is_zero() const { return hlc == 0; }
};

// "9f1c…/5a…" for people: first bytes of the site id and of the epoch.
[[nodiscard]] std::string to_text(const Origin& origin);
// All of it, for programs: 32 hex digits of the site id, for an origin then "/" and 16 of the
// epoch.
[[nodiscard]] std::string to_hex(const SiteId& site);
[[nodiscard]] std::string to_hex(const Origin& origin);
// "2026-11-22T18:05:04.123Z+7@9f1c…/5a…"
[[nodiscard]] std::string to_text(const Dot& dot);

}  // namespace outrigger
