// What has to be known of the store before anything is served: where it is, that it is there, that
// it is of a kind that is served here, that our user may do what it has to, that it waits for its
// journal; and what became of the writes that the last run left under way.
//
// Blocks as long as the store is away, until `stopping`; for a thread that may.
#pragma once

#include <atomic>
#include <string>

#include "config/log.h"
#include "config/result.h"
#include "config/settings.h"
#include "proxy/app/listed_members.h"
#include "proxy/mongo/backend.h"
#include "replication/recovery/recovery.h"
#include "replication/store/store.h"

namespace outrigger {

// Nothing is wrong but that it does not answer now.
[[nodiscard]] bool is_away(const Error& error);

[[nodiscard]] std::string describe_store(const StoreInfo& info, const std::string& address);

// kClosed: `stopping` came first. Other errors are final.
[[nodiscard]] Status wait_for_store(Store& store, const std::atomic<bool>& stopping,
                                    const Logger& log);

// Why it cannot be served, with the way out.
[[nodiscard]] Result<StoreInfo> check_store(Store& store, const std::string& address,
                                            const ListedMembers& members, const Logger& log);

// What its rules ask of the store it can do.
[[nodiscard]] Status check_rules(const Settings& settings, const StoreInfo& info,
                                 const std::string& address);

// Tries again while the store is away or a right is missing that may be granted.
[[nodiscard]] Status settle_last_run(Recovery& recovery, Applier& applier, Threads& threads,
                                     const std::atomic<bool>& stopping, const Logger& log,
                                     const Logger& store_log);

}  // namespace outrigger
