// May this pair of sites exchange records? Every check of a hello in one pure function, and every
// answer in words that a person at either end can act on. A pair that may not talk is better off
// with no link than with data that diverges.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "replication/link/message.h"

namespace outrigger::link {

struct Refusal {
  RefuseCode code = RefuseCode::kOther;
  std::string text;  // names both sites; the same words serve at both ends
};

struct Expectation {
  std::string dialled_site;  // whom we meant to reach; empty when we were dialled
  // The names in the peer's certificate; nothing on a plain connection.
  std::optional<std::vector<std::string>> certificate_names;
  // Site ids under which sites have been met before, by name.
  std::map<std::string, SiteId> known_sites;
};

// Nothing: they may talk. `ours` must be current (its vector is compared with the peer's claims).
// The checks, in this order: versions overlap; the name is the one dialled, or listed; the
// certificate names it; not our own id; the id known for the name; equal members; equal policy;
// the peer's vector not below our floor; our vector not below what the peer knows to be stable.
[[nodiscard]] std::optional<Refusal> check_hello(const Hello& ours, const Hello& theirs,
                                                 const Expectation& expected);

// The version to speak; meaningful when check_hello found nothing.
[[nodiscard]] uint32_t common_version(const Hello& ours, const Hello& theirs);

// "oslo lists rome, paris does not; paris lists bergen, oslo does not"; empty when equal.
[[nodiscard]] std::string member_difference(const SiteHello& a, const SiteHello& b);

}  // namespace outrigger::link
