// One event loop that serves connections of apps: all that its sessions share and no other loop
// touches. What is one for the site (the log, locks on documents, the gate) is thread-safe and lent
// to each; so loops meet in few places, each for a moment, and never while anybody waits.
#pragma once

#include <cstddef>
#include <functional>

#include "proxy/session/sessions.h"
#include "proxy/writes/context.h"

namespace outrigger {

class Worker {
 public:
  // What is one for all workers; all of it outlives them.
  struct Site {
    CatalogueChanges& changes;
    const RoomBudgets& rooms;
    StoreWorker& store;
    Replica& replica;
    const Clock& clock;
    Random& random;
    Places& places;
    // Steps of local writes have been written. On any loop's thread.
    std::function<void()> on_write;
  };
  // Made before the loop runs, or on its thread; taken away after it has run, or there. `number`: 0
  // is the loop the site's own work is on. `members` are reached from `loop`; `context` makes the
  // worker's, once its other parts are there.
  Worker(net::Loop& loop, StoreMembers members, const Site& site, size_t number,
         const std::function<ProxyContext(Worker&)>& context);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  net::Loop& loop;
  const StoreMembers members;
  const StoreAsker store;
  Facts facts;
  FreshIds fresh_ids;
  MessageRooms rooms;
  TurnAppends appends;
  DurableWaits durable_waits;
  ProxyContext context;
  Sessions sessions;
};

}  // namespace outrigger
