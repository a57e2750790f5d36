// The records of a change of the catalogue: begun together, and settled together once it is known
// what became of it (catalog_write.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "proxy/mongo/backend.h"
#include "proxy/writes/context.h"
#include "replication/record/catalog.h"

namespace outrigger {

// A part of a change that is one record; the last one holds what becomes of the collection.
struct CatalogPart {
  Prepare prepare;  // until it is begun
  UndecidedWrite write;
  std::vector<DocumentChange> changes;
};
using CatalogParts = std::vector<CatalogPart>;

// All of these documents are to go.
[[nodiscard]] CatalogParts removals(const std::string& ns, std::span<const bson::OwnedValue> ids,
                                    const std::string& session);
// On disk before the command is sent: after a crash it is told by what the store shows. One of
// `removals` that is not there then has been removed: so it must be what no crash of the store
// takes back. `listed_by`: the run of the store that showed those documents; empty: there are none.
net::Task<Result<CatalogParts>> begin_parts(ProxyContext& context, Backend& backend,
                                            CatalogParts parts, std::string listed_by);
// Recorded, or dropped. An error: what became of them cannot be written down, and is left to
// recovery.
net::Task<Status> settle_parts(ProxyContext& context, CatalogParts& parts, bool is_done);

// What became of the command nobody knows: recovery looks.
net::Task<void> settle_parts_in_doubt(ProxyContext& context, Backend& backend, CatalogParts& parts,
                                      std::string what);

// What is told of a change. One that documents have made since it was dropped is not known to
// others as one that is wanted: it is told in full.
[[nodiscard]] std::vector<PathChange> told_changes(const Replica& replica, CatalogEntry before,
                                                   const CatalogEntry& after);
// Of a change of this collection; `mode`: of what is written to it.
void add_catalog_locks(LockRequest& request, const std::string& ns, LockMode mode);

}  // namespace outrigger
