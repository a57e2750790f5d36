#include "replication/site/state/peer_news.h"

#include <algorithm>

namespace outrigger {

Result<Offered> PeerNews::offer(Segment segment, const Origin& from, const MemberIds& met,
                                const SiteVectors& vectors, Hlc issued) {
  const Origin origin = segment.origin;
  Offered offered;
  if (origin == context_.self) {
    if (segment.through > issued) {
      return fail(ErrorCode::kRefused, "take segment", to_text(origin),
                  "it holds stamps of this very process that it never issued",
                  "two copies of this site are running: stop one and give it an empty data_dir");
    }
    duplicates_ += segment.records.size();
    return offered;
  }
  const Membership membership{context_, met, vectors.visible()};
  offered.wrong_origin = membership.wrong_with_origin(origin, inbox_.queues());
  if (!offered.wrong_origin.empty()) return offered;
  if (vectors.is_retired(segment)) {
    duplicates_ += segment.records.size();
    return offered;
  }
  auto taken = take_in(std::move(segment), from, vectors, membership.record_rules());
  if (!taken) return tl::unexpected(taken.error());
  duplicates_ += taken->duplicates;
  offered.fresh = taken->fresh;
  offered.mismatch = std::move(taken->mismatch);
  return offered;
}

Result<Inbox::Taken> PeerNews::take_in(Segment segment, const Origin& from,
                                       const SiteVectors& vectors, const RecordRules& rules) {
  const Origin origin = segment.origin;
  const Report* report = stability_.latest_of(origin.site);
  const Word word = promises_.word_of(from, origin, report == nullptr ? 0 : report->epoch);
  const Hlc forgotten = vectors.floor().at(origin);
  return inbox_.offer(
      std::move(segment), vectors.visible().at(origin), word,
      [&](Hlc stamp) {
        if (stamp <= forgotten) return true;
        auto entry = context_.outbox.entry(origin, stamp);
        return !entry || entry->has_value();  // what cannot be read raises an alarm of its own
      },
      [&](const Record& record) { return wrong_with(record, rules); });
}

Heard PeerNews::hear(const Report& report, const Origin& from, const MemberIds& met,
                     const SiteVectors& vectors) {
  Heard heard;
  const Origin about{report.site, report.epoch};
  if (report.site == context_.self.site) return heard;
  if (promises_.word_of(from, about, report.epoch) == Word::kNone) return heard;
  heard.wrong = Membership{context_, met, vectors.visible()}.wrong_with_report(report);
  if (heard.wrong.empty()) heard.moved = stability_.hear(report, from == about);
  return heard;
}

void PeerNews::take_promises(const std::vector<Inbox::Promised>& promised,
                             const VersionVector& applied) {
  for (const auto& [origin, through, word] : promised) promises_.raise(origin, through, word);
  inbox_.drop_applied(applied, promised);
}

VersionVector PeerNews::of_this_run(Hlc stamp) const {
  VersionVector vector;
  vector.raise(context_.self, stamp);
  return vector;
}

VersionVector PeerNews::known(const VersionVector& durable, Hlc published) const {
  VersionVector vector = durable;
  promises_.raise_in(vector);
  vector.raise(context_.self, published);
  return vector;
}

std::vector<Report> PeerNews::reports(const VersionVector& durable, Hlc issued) {
  std::vector<Report> all{stability_.report(durable, of_this_run(issued))};
  for (Report& report : stability_.latest()) all.push_back(std::move(report));
  return all;
}

bool PeerNews::update_stability(const VersionVector& durable, Hlc issued, Hlc published) {
  return stability_.update(durable, of_this_run(issued), known(durable, published));
}

VersionVector PeerNews::acknowledged(const VersionVector& durable) const {
  const std::vector<Report> latest = stability_.latest();
  if (!all_reported(latest)) return {};
  VersionVector common = durable;
  for (const Report& report : latest) common = VersionVector::minimum(common, report.vector);
  return common;
}

bool PeerNews::all_have(const VersionVector& epochs) const {
  for (const auto& [queued, items] : inbox_.queues()) {
    if (queued.site == context_.self.site) return false;
  }
  const std::vector<Report> latest = stability_.latest();
  return all_reported(latest) &&
         std::all_of(latest.begin(), latest.end(),
                     [&](const Report& report) { return report.vector.includes(epochs); });
}

void PeerNews::describe(ReplicaStatus& status, const HybridClock& clock) const {
  status.stable = stability_.stable();
  status.inbox_records = inbox_.records();
  status.inbox_bytes = inbox_.bytes();
  status.duplicate_records = duplicates_;
  for (const auto& [origin, queue] : inbox_.queues()) {
    if (queue.empty() || !clock.too_far_ahead(queue.front().through)) continue;
    status.held.push_back(to_text(origin) + ": its clock is more than " +
                          std::to_string(context_.options.max_ahead_ms) + " ms ahead of ours");
  }
}

Progress PeerNews::progress(const LogBacklog& backlog, const VersionVector& durable) const {
  Progress all;
  const auto set_behind = [&](PeerProgress& progress, const SiteId& site) {
    const LogMarks::Amount behind = backlog.behind(site, progress.acked, durable);
    progress.records_behind = behind.records;
    progress.bytes_behind = behind.bytes;
  };
  for (const Report& report : stability_.latest()) {
    PeerProgress& progress = all.heard.emplace_back(report.site, PeerProgress()).second;
    progress.site_id = to_hex(report.site);
    progress.acked = report.vector;
    set_behind(progress, report.site);
  }
  set_behind(all.unheard, SiteId{});
  return all;
}

}  // namespace outrigger
