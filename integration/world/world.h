// Three whole sites, the network between them, the apps that use them and what goes wrong: in one
// process, in virtual time, from one seed.
//
// The problem: what must never happen (a write lost, doubled, different somewhere, or stuck) hides
// in orders of events that real machines show once in months and never again. The idea: everything
// that is the product's runs as it is; everything it stands on (time, chance, threads, network,
// disks, MongoDBs) is made here, fails as the seed says, and comes out the same for the same seed.
//
// A run is a load with faults, then an end: everything is healed, and within a bounded time all
// sites must hold the same documents, say so, and have nothing left over.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "integration/world/world_app.h"
#include "integration/world/world_site.h"

namespace outrigger::world {

struct WorldOptions {
  uint64_t seed = 1;
  int64_t minutes = 20;      // of load and faults
  int64_t pause_ms_max = 0;  // between an app's operations; 0: as the seed says
  bool aloud = false;        // the story to stderr as it happens
};

struct WorldReport {
  std::vector<std::string> violations;  // none: it is as it must be
  std::string story;                    // the last events
  uint64_t digest = 0;                  // of all events
  uint64_t events = 0;
  uint64_t acknowledged = 0;
  double site_hours = 0;  // of virtual time, all sites together
};

[[nodiscard]] WorldReport run_world(const WorldOptions& options);

}  // namespace outrigger::world
