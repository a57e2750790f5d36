// What a site says of itself: at /status and /conflicts as JSON, in the database `outrigger` as
// documents. Built as BSON and printed by the one BSON printer.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "proxy/expiry/expiry_status.h"
#include "proxy/peer/peer_status.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/path_life.h"
#include "replication/site/replica.h"

namespace outrigger {

// Of the store's set, one that has a listener.
struct MemberStatus {
  std::string member;
  std::string listen;
  bool is_primary = false;
  bool is_in_set = false;
};

struct StatusParts {
  std::string version;
  std::string store;  // "replica set rs0 at 127.0.0.1:27017", no credentials
  bool store_available = true;
  std::vector<MemberStatus> members;  // where the settings list some
  uint64_t connections = 0;
  int64_t uptime_ms = 0;
  ReplicaStatus replica;
  std::vector<PeerStatus> peers;
  ExpiryStatus expiry;
};

// What a site is called; of one that nobody knows any more its id in hex.
using SiteNames = std::function<std::string(const SiteId&)>;

// Of the collections of the database `outrigger`, BSON.
[[nodiscard]] std::string status_document(const StatusParts& parts);
[[nodiscard]] std::vector<std::string> peer_documents(const StatusParts& parts);
[[nodiscard]] std::string conflict_document(const LedgerEntry& entry, const std::string& name,
                                            const SiteNames& sites);

[[nodiscard]] std::string status_json(const StatusParts& parts);
// Records set aside: what each is called, why, and what is in it.
[[nodiscard]] std::string quarantine_json(const std::vector<LedgerEntry>& entries);
// One object, as in the list below.
[[nodiscard]] std::string conflict_json(const LedgerEntry& entry, const SiteNames& sites);
// {"events": [...], "conflicts": [...], "whole": bool}, both oldest first.
[[nodiscard]] std::string path_life_json(const PathLife& life, const SiteNames& sites);
// {"conflicts": [...], "more": bool, "next": place}; `next` only where there are more.
[[nodiscard]] std::string conflicts_json(const LedgerPage& page, const SiteNames& sites);

}  // namespace outrigger
