// A transaction in doubt: committed whole or not at all, and its prepare holds all that it did. So
// there is one question, and a replica set's oplog answers it for sure; what is recorded then is
// what the prepare says, increments as increments.
#pragma once

#include <vector>

#include "replication/recovery/recovery.h"

namespace outrigger {

// As judge_prepare(), of the prepare of a transaction. Where the oplog does not reach back, each
// document is judged by itself, by what the store shows.
[[nodiscard]] Result<SettledPrepare> judge_transaction(StoreReader& store, const Prepare& prepare,
                                                       const std::vector<OplogWrite>* oplog,
                                                       bool put_back);

// What the retry table remembers of a commit. Whoever commits again is answered by the store, or
// where that has forgotten it, as any commit is answered.
[[nodiscard]] RetryEntry commit_entry(std::string key);

}  // namespace outrigger
