// File descriptors: a process that has none left cannot take a connection, and worse, cannot open
// its own outbox's next file. So they are dealt out at start: some for ourselves, and as many
// connections as the rest allows. Nothing that strangers do can use up what is ours.
#pragma once

#include <cstdint>

#include "config/result.h"
#include "config/settings.h"

namespace outrigger {

// Raises this process's limit of open files to what the system lets it have, and gives that.
[[nodiscard]] uint64_t raise_descriptor_limit();

struct DescriptorPlan {
  uint64_t descriptors = 0;  // in all
  uint64_t tables = 0;       // the outbox may keep open
  uint64_t connections = 0;  // of apps: what proxy.limits.connections says, or fewer
};

// kRefused when there are too few for any service; the error says how many it takes.
[[nodiscard]] Result<DescriptorPlan> plan_descriptors(uint64_t descriptors,
                                                      const Settings& settings, uint32_t workers);

}  // namespace outrigger
