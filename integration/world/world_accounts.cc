#include "integration/world/world_accounts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "replication/merge/claims/claim.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger::world {
namespace {

using bson::Document;

const std::string kNs = std::string("shop.") + kAccounts;

const std::vector<MemoryIndex>& indexes() {
  static const std::vector<MemoryIndex> both{{{{"mail"}}, true}, {{{"phone"}}, true}};
  return both;
}

struct Account {
  std::string document;
  merge::Claim claim;
  std::set<std::string> keys;
};
using Accounts = std::map<std::string, Account>;  // by canonical _id

Account account(const std::string& canonical, const std::string& document,
                const merge::DocumentState& state) {
  Account one{document, {{}, canonical}, {}};
  for (const MemoryIndex& index : indexes()) {
    for (const std::string& key : keys_in(index, Document(document))) {
      one.keys.insert(index.name() + key);
    }
  }
  one.claim.dot = merge::claim_of(state);
  return one;
}

Accounts shown(const WorldSite& site) {
  Accounts all;
  for (const std::string& document : site.documents().documents(kNs)) {
    const std::string id = bson::canonical_key(*Document(document).find("_id"));
    const auto row = site.disk().row(kNs, id);
    const auto state = merge::load_row(*row ? std::string_view(**row) : std::string_view());
    all.emplace(id, account(id, document, *state));
  }
  return all;
}

Accounts parked(const WorldSite& site) {
  Accounts all;
  const auto noted = site.disk().scan_meta(meta_keys::kDetached);
  for (const auto& [key, bytes] : *noted) {
    const std::string row_key = key.substr(std::string(meta_keys::kDetached).size());
    if (!row_key.starts_with(kNs + '\0')) continue;
    const std::string id = row_key.substr(kNs.size() + 1);
    const auto row = site.disk().row(kNs, id);
    auto state = merge::load_row(*row ? std::string_view(**row) : std::string_view());
    merge::fill(*state, std::nullopt);
    const auto document = merge::document_of(*state);
    all.emplace(id, account(id, document.value_or(bson::Writer().finish()), *state));
  }
  return all;
}

}  // namespace

void make_accounts(WorldSite& site) {
  for (const MemoryIndex& index : indexes()) site.mongod().documents().make_unique(kNs, index);
}

size_t parked_accounts(const WorldSite& site) { return parked(site).size(); }

std::vector<std::string> look_at_accounts(const WorldSite& site, const WorldSite& other) {
  std::vector<std::string> wrong;
  const Accounts here = parked(site);
  const Accounts there = parked(other);
  for (const auto& [id, one] : here) {
    const auto same = there.find(id);
    const std::string json = bson::to_json(Document(one.document));
    if (same == there.end()) {
      wrong.push_back(fmt::format("{} is parked at {} alone", json, site.name()));
    } else if (!bson::equal_unordered(Document(one.document), Document(same->second.document)) ||
               one.claim != same->second.claim) {
      wrong.push_back(fmt::format("{} is parked at {}, at {} it is {}", json, site.name(),
                                  other.name(), bson::to_json(Document(same->second.document))));
    }
  }
  std::map<std::string, const Account*> owners;
  const Accounts all = shown(site);
  for (const auto& [id, one] : all) {
    for (const std::string& key : one.keys) {
      if (owners.emplace(key, &one).second) continue;
      wrong.push_back(fmt::format("{} shows two of one key: {}", site.name(),
                                  bson::to_json(Document(one.document))));
    }
  }
  for (const auto& [id, one] : here) {
    const bool has_owner = std::any_of(one.keys.begin(), one.keys.end(), [&](const auto& key) {
      const auto owner = owners.find(key);
      return owner != owners.end() && owner->second->claim < one.claim;
    });
    if (has_owner) continue;
    wrong.push_back(fmt::format("{} is parked at {}, and no earlier one is shown",
                                bson::to_json(Document(one.document)), site.name()));
  }
  return wrong;
}

}  // namespace outrigger::world
