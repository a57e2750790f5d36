// A new data_dir knows nothing of what the store holds: documents without stamps would be taken
// for ones every member has, and would never travel. So that is refused.
#pragma once

#include "config/result.h"
#include "replication/outbox/outbox.h"
#include "replication/store/store.h"

namespace outrigger {

// Has this data_dir been used before? (Replica::open marks it.)
[[nodiscard]] Result<bool> is_first_start(const outbox::Outbox& outbox);

// Before Replica::open. `replicated` says which namespaces travel. kRefused names the collections,
// their counts and the way out. Only reads.
[[nodiscard]] Status check_first_start(const outbox::Outbox& outbox, StoreCatalog& store,
                                       const StoreCatalog::NamespaceFilter& replicated);

}  // namespace outrigger
