#include "replication/site/state/membership.h"

namespace outrigger {

bool Membership::is_member(const SiteId& site) const {
  return site == context.self.site || met.count(site) != 0 || visible.entries_of(site) != 0;
}

std::string Membership::wrong_with_report(const Report& report) const {
  if (!is_member(report.site)) return "a report of a site that is no member";
  for (const auto* vector : {&report.vector, &report.issued, &report.closed}) {
    if (vector->entries().size() > 2 * context.epochs_max() * context.options.members.size())
      return "a report of too many origins";
    for (const auto& [origin, stamp] : vector->entries()) {
      if (!is_member(origin.site)) return "a report that names an origin of no member";
    }
  }
  return {};
}

std::string Membership::wrong_with_origin(const Origin& origin, const Inbox::Queues& queues) const {
  if (!is_member(origin.site)) return "records of an origin that is no member's";
  if (origin.epoch == kRetired) return "records under the name of all retired epochs";
  if (visible.at(origin) != 0 || queues.count(origin) != 0) return {};
  size_t epochs = visible.entries_of(origin.site);
  for (const auto& [queued, items] : queues) {
    if (queued.site == origin.site && visible.at(queued) == 0) ++epochs;
  }
  return epochs < context.epochs_max() ? "" : "records of more epochs of one site than can be held";
}

RecordRules Membership::record_rules() const {
  RecordRules rules;
  rules.replicates = [&options = context.options](std::string_view ns) {
    return !options.replicates || options.replicates(ns);
  };
  rules.is_member = [membership = *this](const SiteId& site) { return membership.is_member(site); };
  return rules;
}

}  // namespace outrigger
