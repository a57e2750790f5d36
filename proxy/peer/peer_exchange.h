// What a link to another site needs of this site's memory. The replica is one (replica_exchange.h);
// tests use a small one of their own, so that everything about connections can be tested without
// a disk or a store.
#pragma once

#include <functional>
#include <vector>

#include "config/result.h"
#include "replication/causality/stability.h"
#include "replication/record/outgoing.h"
#include "replication/record/record.h"
#include "replication/site/site_hello.h"

namespace outrigger {

// Called on the loop thread. None of it may block for long. Meanings as in
// replication/site/replica.h.
class PeerExchange {
 public:
  virtual ~PeerExchange() = default;
  [[nodiscard]] virtual SiteHello hello() = 0;
  // Our own report first, then the latest of all others.
  [[nodiscard]] virtual std::vector<Report> reports() = 0;
  [[nodiscard]] virtual VersionVector applied() = 0;
  [[nodiscard]] virtual Result<OutgoingBatch> read_batch(const VersionVector& has, size_t bytes_max,
                                                         const VersionVector& told, bool relay) = 0;
  // Takes the segments, or leaves them as they are when it answers kUnavailable.
  [[nodiscard]] virtual Status offer(std::vector<Segment>& segments, const Origin& from) = 0;
  virtual void hear(const Report& report, const Origin& from) = 0;
  virtual void introduce(const SiteHello& peer) = 0;
  [[nodiscard]] virtual std::vector<MemberId> members() = 0;
  virtual void hear_members(const std::vector<MemberId>& members) = 0;
  virtual void parted(const SiteHello& peer) = 0;
  // `wake` may be called on any thread, often, and for as long as the exchange lives.
  virtual void on_progress(std::function<void()> wake) = 0;
};

}  // namespace outrigger
