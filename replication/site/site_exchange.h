// What goes to peers and comes from them: hello, reports, segments, and how far each peer is.
#pragma once

#include <vector>

#include "config/result.h"
#include "replication/record/outgoing.h"
#include "replication/site/members.h"
#include "replication/site/rules/rules_keeper.h"
#include "replication/site/site_hello.h"
#include "replication/site/state/alarms.h"
#include "replication/site/state/replica_status.h"
#include "replication/site/state/site_state.h"
#include "replication/site/state/wakers.h"

namespace outrigger {

// Thread-safe. The verbs are Replica's of the same name.
class SiteExchange {
 public:
  // Everything is borrowed and outlives this.
  SiteExchange(const SiteContext& context, SiteState& state, Members& members,
               const RulesKeeper& rules, Alarms& alarms, Wakers& wakers)
      : context_(context),
        state_(state),
        members_(members),
        rules_(rules),
        alarms_(alarms),
        wakers_(wakers) {}

  [[nodiscard]] SiteHello hello() const;
  [[nodiscard]] Result<OutgoingBatch> read_batch(const VersionVector& has, size_t bytes_max,
                                                 const VersionVector& told, bool relay) const;
  [[nodiscard]] Status offer(std::vector<Segment> segments, const Origin& from);
  void hear(const Report& report, const Origin& from);
  void introduce(const SiteHello& peer);
  void parted(const SiteHello& peer);

  // Fills in what SiteState knows, and the peers.
  void describe(ReplicaStatus& status) const;

 private:
  [[nodiscard]] Result<bool> offer(Segment segment, const Origin& from);
  void set_ages(ReplicaStatus& status) const;

  const SiteContext& context_;
  SiteState& state_;
  Members& members_;
  const RulesKeeper& rules_;
  Alarms& alarms_;
  Wakers& wakers_;
};

}  // namespace outrigger
