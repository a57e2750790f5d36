// What a site tells of itself to whoever looks after it, all as of about one moment.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/result.h"
#include "replication/causality/version_vector.h"

namespace outrigger {

struct PeerProgress {
  std::string site;
  std::string site_id;  // hex; empty: never met
  VersionVector acked;  // applied there, as last reported
  uint64_t records_behind = 0;
  uint64_t bytes_behind = 0;
  int64_t oldest_behind_ms = 0;  // age of the oldest record it lacks; 0 when none
  int64_t last_heard_ms = 0;     // wall clock; 0: never in this run
};

// How far each other member is that has been heard of; and, for all others, one that has nothing.
struct Progress {
  std::vector<std::pair<SiteId, PeerProgress>> heard;
  PeerProgress unheard;
};

// Which rules of merging hold (rules/rules_keeper.h).
struct RulesStatus {
  std::string name;  // as the hello says it
  std::string by;    // the site whose record told them; empty: they are the file's
  int64_t since_ms = 0;
  std::vector<std::string> file_differs;  // "- line" only there, "+ line" only in those that hold
};

// What an entry of the ledger counts as.
struct ConflictOf {
  std::string kind;
  std::string ns;
  std::string policy;  // LedgerEntry::rule
  friend auto operator<=>(const ConflictOf&, const ConflictOf&) = default;
};
using ConflictCounts = std::map<ConflictOf, uint64_t>;

struct ReplicaStatus {
  std::string site;
  std::string site_id;
  uint64_t epoch = 0;
  VersionVector applied;
  VersionVector stable;
  Hlc issued = 0;
  uint64_t outbox_records = 0;
  uint64_t outbox_bytes = 0;
  uint64_t inbox_records = 0;
  uint64_t inbox_bytes = 0;
  uint64_t rows = 0;  // documents with metadata that is waiting to be forgotten (estimate)
  uint64_t ledger_entries = 0;
  uint64_t ledger_bytes = 0;
  uint64_t ledger_open = 0;  // entries that are open
  uint64_t ledger_bytes_max = 0;
  int64_t ledger_keep_ms = 0;
  uint64_t ledger_dropped = 0;  // closed entries, to stay below these, since the data_dir was made
  uint64_t ledger_dropped_open = 0;  // open losses, likewise
  int64_t ledger_oldest_ms = 0;      // of the oldest entry kept; 0: there is none
  uint64_t not_applied = 0;          // documents set aside
  uint64_t kept = 0;                 // documents shown although they share a key of a unique index
  uint64_t quarantined = 0;          // records set aside
  uint64_t open_writes = 0;          // begun, not settled
  int64_t oldest_open_write_ms = 0;
  std::optional<Error> outbox_failure;
  std::vector<std::string>
      held;  // origins held back and why (clock too far ahead, locked document)
  std::vector<std::string> alarms;  // what should never happen and needs a person
  std::vector<PeerProgress> peers;
  RulesStatus rules;
  uint64_t documents_put_back = 0;  // that the store had forgotten (recovery/redo.h)
  uint64_t applied_records = 0;     // of peers, in this run; like the three below
  uint64_t duplicate_records = 0;   // offered again
  uint64_t collected_rows = 0;
  ConflictCounts conflicts;                 // ledger entries written
  std::map<std::string, uint64_t> choices;  // noted, by the state they left
};

}  // namespace outrigger
