#include "replication/link/handshake.h"

#include <algorithm>

#include "config/policy.h"

namespace outrigger::link {
namespace {

using MaybeRefusal = std::optional<Refusal>;

constexpr size_t kPolicyLinesShownMax = 20;

Refusal refusal(RefuseCode code, std::string text) { return Refusal{code, std::move(text)}; }

std::string range(const Hello& hello) {
  std::string low = std::to_string(hello.version_min);
  std::string high = std::to_string(hello.version_max);
  return low == high ? low : low + " to " + high;
}

MaybeRefusal check_versions(const Hello& ours, const Hello& theirs) {
  if (std::max(ours.version_min, theirs.version_min) <=
      std::min(ours.version_max, theirs.version_max)) {
    return std::nullopt;
  }
  return refusal(RefuseCode::kVersion, ours.site.site + " speaks link version " + range(ours) +
                                           ", " + theirs.site.site + " speaks " + range(theirs) +
                                           ": upgrade the older sidecar");
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

MaybeRefusal check_name(const SiteHello& ours, const SiteHello& theirs,
                        const Expectation& expected) {
  if (!expected.dialled_site.empty() && theirs.site != expected.dialled_site) {
    return refusal(RefuseCode::kWrongSite,
                   ours.site + " dialled " + expected.dialled_site + " and reached " + theirs.site +
                       ": check peers.sites in the settings of " + ours.site);
  }
  // Before the list: a copied settings file would otherwise pass as "listed".
  if (theirs.site == ours.site || theirs.site_id == ours.site_id) {
    bool same_id = theirs.site_id == ours.site_id;
    return refusal(RefuseCode::kClone,
                   same_id ? "two sidecars (" + ours.site + ", " + theirs.site +
                                 ") run with the same site id: one is a copy of the other's "
                                 "data_dir, or the link leads back to itself. Stop one; give the "
                                 "copy an empty data_dir"
                           : "both sidecars are named " + ours.site + ": rename one");
  }
  if (!contains(ours.members, theirs.site)) {
    return refusal(RefuseCode::kUnlisted, theirs.site + " is not listed in peers.sites of " +
                                              ours.site + ": add it there, or stop dialling");
  }
  return std::nullopt;
}

MaybeRefusal check_certificate(const SiteHello& theirs, const Expectation& expected) {
  if (!expected.certificate_names || contains(*expected.certificate_names, theirs.site)) {
    return std::nullopt;
  }
  std::string names;
  for (const std::string& name : *expected.certificate_names) {
    names += (names.empty() ? "" : ", ") + clean_text(name);
  }
  return refusal(RefuseCode::kCertificate, "the sidecar that calls itself " + theirs.site +
                                               " shows a certificate for " +
                                               (names.empty() ? "no DNS name" : names) +
                                               ": its subjectAltName must hold DNS:" + theirs.site);
}

MaybeRefusal check_identity(const SiteHello& theirs, const Expectation& expected) {
  for (const auto& [name, id] : expected.known_sites) {
    if (name == theirs.site || id != theirs.site_id) continue;
    return refusal(RefuseCode::kClone,
                   theirs.site + " shows the site id of " + name +
                       ": one is a copy of the other's data_dir. Give the copy an empty one");
  }
  auto known = expected.known_sites.find(theirs.site);
  if (known == expected.known_sites.end() || known->second == theirs.site_id) return std::nullopt;
  return refusal(RefuseCode::kIdentityChanged,
                 theirs.site + " was known as site id " + to_hex(known->second) +
                     " and now claims " + to_hex(theirs.site_id) +
                     ": its data_dir was replaced. Give it the old data_dir back");
}

std::string lists(const std::string& lister, const std::vector<std::string>& names,
                  const std::string& other, const std::vector<std::string>& other_names) {
  std::string only;
  for (const std::string& name : names) {
    if (!contains(other_names, name)) only += (only.empty() ? "" : ", ") + name;
  }
  return only.empty() ? only : lister + " lists " + only + ", " + other + " does not";
}

MaybeRefusal check_members(const SiteHello& ours, const SiteHello& theirs) {
  std::string difference = member_difference(ours, theirs);
  if (difference.empty()) return std::nullopt;
  return refusal(RefuseCode::kMembers,
                 difference + ": every site must list the same members (peers.sites)");
}

// Records will tell who has the later rules, if the same namespaces travel (RulesKeeper::name).
bool will_agree(const std::string& ours, const std::string& theirs) {
  const bool is_told = ours.ends_with('+') || theirs.ends_with('+');
  return is_told && ours.substr(0, ours.find('-')) == theirs.substr(0, theirs.find('-'));
}

MaybeRefusal check_policy(const Hello& ours, const Hello& theirs) {
  if (ours.site.policy_hash == theirs.site.policy_hash) return std::nullopt;
  if (will_agree(ours.site.policy_hash, theirs.site.policy_hash)) return std::nullopt;
  std::string text = ours.site.site + " and " + theirs.site.site +
                     " have different replicate rules (policy hash " + ours.site.policy_hash +
                     " and " + theirs.site.policy_hash + "); - is only at " + ours.site.site +
                     ", + only at " + theirs.site.site + ":";
  std::vector<std::string> difference = policy_difference(ours.policy_lines, theirs.policy_lines);
  size_t shown = std::min(difference.size(), kPolicyLinesShownMax);
  for (size_t i = 0; i < shown; ++i) text += "\n  " + clean_text(difference[i]);
  if (shown < difference.size()) {
    text += "\n  and " + std::to_string(difference.size() - shown) + " more";
  }
  return refusal(RefuseCode::kPolicy, std::move(text));
}

// `site` once had more of `origin` than it has now.
Refusal restored(const SiteHello& site, const SiteHello& witness, const Origin& origin) {
  const std::string name = origin.epoch == kRetired ? "its own earlier runs" : to_text(origin);
  return refusal(RefuseCode::kRestored,
                 site.site + " lacks records of " + name + " that " + witness.site +
                     " knows it once had: the data_dir of " + site.site +
                     " was replaced by a new or an older one. Give it the old data_dir back, or "
                     "set it up again from a copy of the data");
}

MaybeRefusal check_vectors(const SiteHello& ours, const SiteHello& theirs) {
  const Origin mark = VersionVector::retired_of(ours.site_id);
  if (theirs.applied.at(mark) > ours.applied.at(mark)) return restored(ours, theirs, mark);
  const Origin their_mark = VersionVector::retired_of(theirs.site_id);
  if (ours.applied.at(their_mark) > theirs.applied.at(their_mark)) {
    return restored(theirs, ours, their_mark);
  }
  for (const auto& [origin, floor] : ours.floor.entries()) {
    if (theirs.applied.get(origin) >= floor) continue;
    return refusal(RefuseCode::kBelowFloor,
                   theirs.site + " needs records of origin " + to_text(origin) + " from " +
                       to_text(Dot{theirs.applied.get(origin), origin}) + " on, but " + ours.site +
                       " holds none below " + to_text(Dot{floor, origin}) + ": " + theirs.site +
                       " must be set up again from a copy of the data");
  }
  for (const auto& [origin, stable] : theirs.stable.entries()) {
    if (ours.applied.get(origin) >= stable) continue;
    return restored(ours, theirs, origin);
  }
  return std::nullopt;
}

}  // namespace

std::string member_difference(const SiteHello& a, const SiteHello& b) {
  std::string only_a = lists(a.site, a.members, b.site, b.members);
  std::string only_b = lists(b.site, b.members, a.site, a.members);
  return only_a + (only_a.empty() || only_b.empty() ? "" : "; ") + only_b;
}

std::optional<Refusal> check_hello(const Hello& ours, const Hello& theirs,
                                   const Expectation& expected) {
  if (auto no = check_versions(ours, theirs)) return no;
  if (auto no = check_name(ours.site, theirs.site, expected)) return no;
  if (auto no = check_certificate(theirs.site, expected)) return no;
  if (auto no = check_identity(theirs.site, expected)) return no;
  if (auto no = check_members(ours.site, theirs.site)) return no;
  if (auto no = check_policy(ours, theirs)) return no;
  return check_vectors(ours.site, theirs.site);
}

uint32_t common_version(const Hello& ours, const Hello& theirs) {
  return std::min(ours.version_max, theirs.version_max);
}

}  // namespace outrigger::link
