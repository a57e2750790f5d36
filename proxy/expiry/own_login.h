// Logs the sidecar's own user in on a connection to the store, as libmongoc does on its own: for
// what the sidecar writes itself the way apps' writes go (proxy/writes).
#pragma once

#include "config/random.h"
#include "proxy/mongo/backend.h"
#include "replication/store/mongo/connection/store_address.h"

namespace outrigger {

// All outlive the task. Errors: kRefused (the store says no, in its words), kUnsupported (a way to
// log in that only libmongoc knows), kClosed and the like (no answer). Never hold the password.
net::Task<Status> log_in(Backend& backend, const StoreLogin& login, Random& random);

}  // namespace outrigger
