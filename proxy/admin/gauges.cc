#include "proxy/admin/gauges.h"

namespace outrigger {

void Gauges::count_to(const std::string& name, const std::string& help,
                      const Metrics::Labels& labels, uint64_t total) {
  std::string key = name;
  for (const auto& [label, value] : labels) key += "," + label + "=" + value;
  uint64_t& counted = counted_[key];
  Metrics::Counter& counter = metrics_.counter(name, help, labels);
  if (total > counted) counter.Increment(static_cast<double>(total - counted));
  counted = std::max(counted, total);
}

void Gauges::update_peer(const PeerStatus& link, const ReplicaStatus& replica) {
  const Metrics::Labels peer = {{"peer", link.site}};
  metrics_.gauge("peer_connected", "1 while a link to the peer is open", peer)
      .Set(link.state == PeerState::kOpen ? 1 : 0);
  count_to("peer_received_bytes_total", "bytes received from the peer", peer,
           link.counters.bytes_in);
  count_to("peer_sent_bytes_total", "bytes sent to the peer", peer, link.counters.bytes_out);
  for (const PeerProgress& progress : replica.peers) {
    if (progress.site != link.site) continue;
    metrics_.gauge("peer_lag_records", "records the peer has not applied", peer)
        .Set(static_cast<double>(progress.records_behind));
    metrics_.gauge("peer_lag_bytes", "bytes of records the peer has not applied", peer)
        .Set(static_cast<double>(progress.bytes_behind));
    metrics_.gauge("peer_lag_seconds", "age of the oldest record the peer has not applied", peer)
        .Set(static_cast<double>(progress.oldest_behind_ms) / 1000.0);
  }
}

void Gauges::update(const StatusParts& parts) {
  const ReplicaStatus& replica = parts.replica;
  metrics_.gauge("outbox_bytes", "bytes of records kept")
      .Set(static_cast<double>(replica.outbox_bytes));
  metrics_.gauge("outbox_records", "records kept").Set(static_cast<double>(replica.outbox_records));
  metrics_.gauge("inbox_bytes", "bytes of peers' records not applied yet")
      .Set(static_cast<double>(replica.inbox_bytes));
  metrics_.gauge("rows", "documents with metadata, estimated")
      .Set(static_cast<double>(replica.rows));
  metrics_.gauge("ledger_bytes", "bytes of losing values kept")
      .Set(static_cast<double>(replica.ledger_bytes));
  metrics_.gauge("ledger_open", "entries of the ledger that somebody is to decide about")
      .Set(static_cast<double>(replica.ledger_open));
  count_to("ledger_dropped_total", "closed entries of the ledger dropped to stay below its bounds",
           {}, replica.ledger_dropped);
  count_to("ledger_dropped_open_total", "open losses dropped, as there were too many", {},
           replica.ledger_dropped_open);
  metrics_.gauge("not_applied", "documents the store would not take")
      .Set(static_cast<double>(replica.not_applied));
  metrics_.gauge("kept", "documents that share a key of a unique index and are shown")
      .Set(static_cast<double>(replica.kept));
  metrics_.gauge("quarantined", "records of peers set aside")
      .Set(static_cast<double>(replica.quarantined));
  metrics_.gauge("alarms", "what should never happen and needs a person")
      .Set(static_cast<double>(replica.alarms.size()));
  metrics_.gauge("open_writes", "local writes the store has not answered")
      .Set(static_cast<double>(replica.open_writes));
  metrics_.gauge("store_available", "1 while the store answers, and has again what it forgot")
      .Set(parts.store_available ? 1 : 0);
  metrics_.gauge("outbox_failed", "1 while the outbox is not trusted")
      .Set(replica.outbox_failure ? 1 : 0);
  count_to("documents_put_back_total", "documents that mongod had forgotten", {},
           replica.documents_put_back);
  count_to("applied_total", "records of peers applied", {}, replica.applied_records);
  count_to("duplicates_total", "records of peers offered again", {}, replica.duplicate_records);
  std::map<std::string, uint64_t> namespaces;
  std::map<std::string, uint64_t> policies;
  for (const auto& [of, total] : replica.conflicts) {
    count_to("conflicts_total", "values that lost, by what decided",
             {{"kind", of.kind}, {"namespace", of.ns}, {"policy", of.policy}}, total);
    namespaces[of.ns] += total;
    if (!of.policy.empty()) policies[of.policy] += total;
  }
  for (const auto& [ns, total] : namespaces) {
    count_to("conflicts_of_namespace_total", "values that lost, by namespace", {{"namespace", ns}},
             total);
  }
  for (const auto& [policy, total] : policies) {
    count_to("conflicts_of_policy_total", "values that lost, by the setting that decided",
             {{"policy", policy}}, total);
  }
  for (const auto& [state, total] : replica.choices) {
    count_to("choices_total", "values that lost and were chosen, or that undone",
             {{"state", state}}, total);
  }
  for (const PeerStatus& link : parts.peers) update_peer(link, replica);
}

}  // namespace outrigger
