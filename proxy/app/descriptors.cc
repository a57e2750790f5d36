#include "proxy/app/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <string>

#include "config/limits.h"

namespace outrigger {
namespace {

// "Unlimited" is a number, too; what the kernel allows a process unless told otherwise.
constexpr uint64_t kUnlimited = 1 << 20;
constexpr uint64_t kTablesMin = 32;

}  // namespace

uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  return limit.rlim_cur == RLIM_INFINITY ? kUnlimited : static_cast<uint64_t>(limit.rlim_cur);
}

Result<DescriptorPlan> plan_descriptors(uint64_t descriptors, const Settings& settings,
                                        uint32_t workers) {
  DescriptorPlan plan;
  plan.descriptors = descriptors;
  plan.tables = std::clamp(descriptors / 8, kTablesMin, limits::kTablesOpenMax);
  // A link dialled and one accepted for each site, and strangers at the peers' port.
  const uint64_t peers =
      2 * settings.peers.sites.size() + (settings.peers.listen ? limits::kUnopenedPeersMax : 0);
  const uint64_t beside = (workers - 1) * limits::kLoopDescriptors;
  const uint64_t loops = workers == 1 ? 0 : beside + limits::kNewcomersMax;
  const uint64_t own =
      limits::kOwnDescriptors + limits::kAdminConnectionsMax + plan.tables + peers + loops;
  const uint64_t least = own + limits::kConnectionsMin * limits::kConnectionDescriptors;
  if (descriptors < least) {
    return fail(ErrorCode::kRefused, "start with", std::to_string(descriptors) + " descriptors",
                "this site's own files and links take " + std::to_string(own),
                "raise the limit of open files (ulimit -n, LimitNOFILE) to " +
                    std::to_string(least) + " or more; two for each connection of an app" +
                    (workers > 1 ? ", or lower proxy.workers" : ""));
  }
  plan.connections = std::min<uint64_t>(settings.proxy.connections_max,
                                        (descriptors - own) / limits::kConnectionDescriptors);
  return plan;
}

}  // namespace outrigger
