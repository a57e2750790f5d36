// What a site says of itself when a link to another site opens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replication/causality/stamp.h"
#include "replication/causality/version_vector.h"

namespace outrigger {

// Who is behind a site id.
struct MemberId {
  std::string name;
  SiteId id{};
  friend bool operator==(const MemberId&, const MemberId&) = default;
};

struct SiteHello {
  std::string site;
  SiteId site_id{};
  uint64_t epoch = 0;
  std::string policy_hash;
  std::vector<std::string> members;  // sorted
  VersionVector applied;             // durable
  VersionVector stable;
  VersionVector floor;  // per origin: records at or below it are no longer held

  [[nodiscard]] Origin run() const { return {site_id, epoch}; }
};

}  // namespace outrigger
