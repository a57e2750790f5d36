// The collections of the database `outrigger`, page by page: what the sessions ask of it
// (session/own_database.h).
#pragma once

#include <functional>
#include <string>

#include "proxy/admin/status.h"
#include "proxy/writes/context.h"

namespace outrigger {

// As ProxyContext::own_page has it. `status` is asked only where it is needed.
[[nodiscard]] Result<OwnPage> own_page(const std::string& collection, const LedgerPlace& from,
                                       const Replica& replica,
                                       const std::function<StatusParts()>& status);

}  // namespace outrigger
