// What peers have brought and is not applied yet, and what they say of themselves and one another:
// the inbox, reports, promises; and whether it may be believed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "replication/causality/hybrid_clock.h"
#include "replication/causality/promises.h"
#include "replication/causality/stability.h"
#include "replication/outbox/outbox.h"
#include "replication/site/state/inbox.h"
#include "replication/site/state/log_backlog.h"
#include "replication/site/state/membership.h"
#include "replication/site/state/replica_status.h"
#include "replication/site/state/site_context.h"
#include "replication/site/state/site_vectors.h"

namespace outrigger {

// What became of a segment.
struct Offered {
  bool fresh = false;        // something was put into the inbox
  std::string wrong_origin;  // nothing was taken, for people to read why; mostly empty
  std::string mismatch;      // of another history: likewise
};

// What became of a report.
struct Heard {
  bool moved = false;
  std::string wrong;  // it was ignored, for people to read why; mostly empty
};

// Not thread-safe: lives under the lock of SiteState. `vectors` are this site's, `issued` is the
// last stamp of this run.
class PeerNews {
 public:
  // `context` outlives it.
  explicit PeerNews(const SiteContext& context)
      : context_(context),
        stability_(context.self, context.options.members.size(), context.start),
        inbox_(context.options.inbox_bytes_max) {}

  // ---- what they bring
  [[nodiscard]] Result<Offered> offer(Segment segment, const Origin& from, const MemberIds& met,
                                      const SiteVectors& vectors, Hlc issued);
  [[nodiscard]] Heard hear(const Report& report, const Origin& from, const MemberIds& met,
                           const SiteVectors& vectors);
  void linked(const Origin& peer) { promises_.linked(peer); }
  void parted(const Origin& peer) { promises_.parted(peer); }

  // ---- what is applied of it
  [[nodiscard]] const Inbox& inbox() const { return inbox_; }
  void drop_applied(const VersionVector& applied, const std::vector<Inbox::Promised>& promised) {
    inbox_.drop_applied(applied, promised);
  }
  // Everything before these has been applied.
  void take_promises(const std::vector<Inbox::Promised>& promised, const VersionVector& applied);

  // ---- what follows from it
  [[nodiscard]] const Stability& stability() const { return stability_; }
  // `durable` and what was promised: up to where nothing is missing here.
  [[nodiscard]] VersionVector known(const VersionVector& durable, Hlc published) const;
  // What to tell peers: this site's report, and then the others'.
  [[nodiscard]] std::vector<Report> reports(const VersionVector& durable, Hlc issued);
  // True: what is stable moved.
  bool update_stability(const VersionVector& durable, Hlc issued, Hlc published);
  // What every member says it has applied; nothing until all have said so in this run.
  [[nodiscard]] VersionVector acknowledged(const VersionVector& durable) const;
  // Does every member have all of these epochs of this site, and is none of it on its way here?
  [[nodiscard]] bool all_have(const VersionVector& epochs) const;
  void retired(const VersionVector& epochs, Hlc watermark) { stability_.retire(epochs, watermark); }

  void describe(ReplicaStatus& status, const HybridClock& clock) const;
  [[nodiscard]] Progress progress(const LogBacklog& backlog, const VersionVector& durable) const;

 private:
  [[nodiscard]] bool all_reported(const std::vector<Report>& latest) const {
    return latest.size() + 1 >= context_.options.members.size();
  }
  [[nodiscard]] VersionVector of_this_run(Hlc stamp) const;
  [[nodiscard]] Result<Inbox::Taken> take_in(Segment segment, const Origin& from,
                                             const SiteVectors& vectors, const RecordRules& rules);

  const SiteContext& context_;
  Promises promises_;
  Stability stability_;
  Inbox inbox_;
  uint64_t duplicates_ = 0;  // records offered again
};

}  // namespace outrigger
