// What must be true of documents that a unique index keeps apart, once everything is at rest: the
// same is shown at every site, the same is parked, and what is parked has an earlier one before it
// that is shown (merge/claims/claim.h).
#pragma once

#include <string>
#include <vector>

#include "integration/world/world_site.h"

namespace outrigger::world {

inline constexpr const char* kAccounts = "accounts";
inline constexpr int kAccountsMax = 12;  // their _ids are "u1" and so on

// Two unique indexes, both sparse.
void make_accounts(WorldSite& site);
// How many are parked at a site that serves.
[[nodiscard]] size_t parked_accounts(const WorldSite& site);
// What is not as it must be.
[[nodiscard]] std::vector<std::string> look_at_accounts(const WorldSite& site,
                                                        const WorldSite& other);

}  // namespace outrigger::world
