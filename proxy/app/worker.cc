#include "proxy/app/worker.h"

#include <utility>

namespace outrigger {
namespace {

TurnAppends::Write write_to(Replica& replica, std::function<void()> on_write) {
  return [&replica, on_write = std::move(on_write)](StagedWrites&& staged) {
    Status written = replica.write(std::move(staged));
    on_write();
    return written;
  };
}

DurableWaits::WhenDurable when_durable(Replica& replica) {
  return
      [&replica](auto done, auto needed_in) { replica.when_durable(std::move(done), needed_in); };
}

}  // namespace

Worker::Worker(net::Loop& its_loop, StoreMembers members_from_it, const Site& site, size_t number,
               const std::function<ProxyContext(Worker&)>& context_of)
    : loop(its_loop),
      members(std::move(members_from_it)),
      store(site.store, loop),
      facts(site.changes, store, site.clock),
      fresh_ids(site.random),
      rooms(loop, site.rooms),
      appends(loop, write_to(site.replica, site.on_write)),
      durable_waits(loop, when_durable(site.replica)),
      context(context_of(*this)),
      sessions(context, site.places, number) {}

}  // namespace outrigger
