// Whom peers may speak of. Site ids can be made up without end, and each takes a place in vectors
// and queues: an origin counts only when it is of a member that has been introduced, or of one that
// was taken in before (others still name it), and each has so many epochs and no more.
//
// Pure. What is passed by reference must outlive the answer of record_rules().
#pragma once

#include <set>
#include <string>

#include "replication/causality/stability.h"
#include "replication/causality/version_vector.h"
#include "replication/record/record_checks.h"
#include "replication/site/state/inbox.h"
#include "replication/site/state/site_context.h"

namespace outrigger {

// Other members that have been introduced, in person or by others.
using MemberIds = std::set<SiteId>;

struct Membership {
  const SiteContext& context;
  const MemberIds& met;
  const VersionVector& visible;  // of this site

  [[nodiscard]] bool is_member(const SiteId& site) const;
  // What is wrong, for people; empty: nothing.
  [[nodiscard]] std::string wrong_with_report(const Report& report) const;
  [[nodiscard]] std::string wrong_with_origin(const Origin& origin,
                                              const Inbox::Queues& queues) const;
  [[nodiscard]] RecordRules record_rules() const;
};

}  // namespace outrigger
