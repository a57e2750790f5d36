// The fence: a command outlives the client that sent it, and could overwrite what recovery settles.
// So whatever a sidecar now gone left running is killed, and we wait until none of it is seen.
//
// Plain killSessions answers ok and does nothing to another user's session, so the pattern form is
// used, with the {id, uid} that $currentOp shows.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "config/threads.h"
#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

// As Store::fence().
[[nodiscard]] Status fence(Client& client, Threads& threads, std::span<const std::string> lsid_ids,
                           std::span<const std::string> clients, Store::Duration timeout);

// As Store::open_transactions().
[[nodiscard]] Result<std::vector<OpenTransaction>> open_transactions(Client& client);

}  // namespace outrigger::mongo
