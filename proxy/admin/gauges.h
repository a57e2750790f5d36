// Numbers that are read rather than counted where they happen: taken from the status at each
// scrape.
#pragma once

#include <map>
#include <string>

#include "config/metrics.h"
#include "proxy/admin/status.h"

namespace outrigger {

// Called from one thread at a time.
class Gauges {
 public:
  explicit Gauges(Metrics& metrics) : metrics_(metrics) {}
  void update(const StatusParts& parts);

 private:
  void count_to(const std::string& name, const std::string& help, const Metrics::Labels& labels,
                uint64_t total);
  void update_peer(const PeerStatus& link, const ReplicaStatus& replica);

  Metrics& metrics_;
  std::map<std::string, uint64_t> counted_;  // by name and labels: the total already in the counter
};

}  // namespace outrigger
