// What a site may be called: [a-z0-9-]{1,32}, in the settings and on the link.
#pragma once

#include <cstddef>
#include <string_view>

namespace outrigger {

inline constexpr size_t kSiteNameBytesMax = 32;

[[nodiscard]] constexpr bool is_site_name(std::string_view name) {
  return !name.empty() && name.size() <= kSiteNameBytesMax &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

}  // namespace outrigger
