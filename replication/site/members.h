// Who the other members are: the name behind each site id, as the site said itself or others told,
// and when it was last heard.
//
// Only sites that have been introduced can be the origin of anything (state/membership.h). One id a
// name and one name an id: whoever came first, but a site's hello goes before what others say.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/outbox/batch.h"
#include "replication/site/site_hello.h"
#include "replication/site/state/membership.h"
#include "replication/site/state/replica_status.h"
#include "replication/site/state/site_context.h"

namespace outrigger {

// Thread-safe.
class Members {
 public:
  // `context` outlives this.
  explicit Members(const SiteContext& context);

  [[nodiscard]] Status load();
  // A link to it has opened: it says so itself.
  void introduce(const SiteHello& peer);
  // What a peer knows of the others.
  void hear(const std::vector<MemberId>& members);
  // Something came from it that is news.
  void heard(const SiteId& site);

  [[nodiscard]] std::vector<MemberId> list() const;
  // Ours, too; what is not known: its id.
  [[nodiscard]] std::string name_of(const SiteId& site) const;
  // The ids alone, as of now.
  [[nodiscard]] std::shared_ptr<const MemberIds> ids() const;
  // All other members in the settings, also those not heard of in this run: how far each is, with
  // its name and when it was heard.
  [[nodiscard]] std::vector<PeerProgress> name(Progress progress) const;

 private:
  void put(outbox::Batch& batch, const MemberId& member) REQUIRES(mutex_);

  const SiteContext& context_;
  mutable Mutex mutex_;
  std::map<SiteId, std::string> names_ GUARDED_BY(mutex_);
  std::shared_ptr<const MemberIds> ids_ GUARDED_BY(mutex_);  // of names_; never changed, replaced
  std::map<SiteId, int64_t> heard_ms_ GUARDED_BY(mutex_);    // wall clock, in this run
};

}  // namespace outrigger
