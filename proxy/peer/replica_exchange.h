// The replica as what links exchange with.
#pragma once

#include <utility>

#include "proxy/peer/peer_exchange.h"
#include "replication/site/replica.h"

namespace outrigger {

// The replica must outlive it.
class ReplicaExchange final : public PeerExchange {
 public:
  explicit ReplicaExchange(Replica& replica) : replica_(replica) {}

  SiteHello hello() override { return replica_.hello(); }
  std::vector<Report> reports() override { return replica_.reports(); }
  VersionVector applied() override { return replica_.applied(); }
  Result<OutgoingBatch> read_batch(const VersionVector& has, size_t bytes_max,
                                   const VersionVector& told, bool relay) override {
    return replica_.read_batch(has, bytes_max, told, relay);
  }
  // A copy, since the replica takes the segments even when it has no room for them.
  Status offer(std::vector<Segment>& segments, const Origin& from) override {
    return replica_.offer(segments, from);
  }
  void hear(const Report& report, const Origin& from) override { replica_.hear(report, from); }
  void introduce(const SiteHello& peer) override { replica_.introduce(peer); }
  std::vector<MemberId> members() override { return replica_.members(); }
  void hear_members(const std::vector<MemberId>& members) override {
    replica_.hear_members(members);
  }
  void parted(const SiteHello& peer) override { replica_.parted(peer); }
  void on_progress(std::function<void()> wake) override { replica_.on_progress(std::move(wake)); }

 private:
  Replica& replica_;
};

}  // namespace outrigger
