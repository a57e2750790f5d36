// All but what goes out of the log: site_exchange_read.cc.
#include "replication/site/site_exchange.h"

#include <algorithm>

namespace outrigger {

SiteHello SiteExchange::hello() const {
  SiteState::Standing standing = state_.standing();
  SiteHello hello;
  hello.site = context_.options.site;
  hello.site_id = context_.self.site;
  hello.epoch = context_.self.epoch;
  hello.policy_hash = rules_.name();
  hello.members = context_.options.members;
  std::sort(hello.members.begin(), hello.members.end());
  hello.applied = std::move(standing.applied);
  hello.stable = std::move(standing.stable);
  hello.floor = std::move(standing.floor);
  return hello;
}

Status SiteExchange::offer(std::vector<Segment> segments, const Origin& from) {
  bool fresh = false;
  Status result;
  for (Segment& segment : segments) {
    auto taken = offer(std::move(segment), from);
    if (!taken) result = tl::unexpected(taken.error());
    if (!taken) break;
    fresh = fresh || *taken;
  }
  if (fresh) wakers_.wake_for_work();
  return result;
}

// True when it has put something into the inbox.
Result<bool> SiteExchange::offer(Segment segment, const Origin& from) {
  const std::string about = "stream of " + to_text(segment.origin);
  const auto met = members_.ids();
  auto offered = state_.offer(std::move(segment), from, *met);
  if (!offered) return tl::unexpected(offered.error());
  if (!offered->wrong_origin.empty()) {
    // Names can be made up without end: one alarm for whoever sends them.
    alarms_.raise("records by " + to_text(from),
                  to_text(from) + " sent " + offered->wrong_origin + ": not taken");
  }
  if (offered->fresh) alarms_.calm(about);
  if (!offered->mismatch.empty()) {
    alarms_.raise(about, offered->mismatch +
                             ": two histories go by one name, and what this site lacks of either "
                             "is held back");
  }
  return offered->fresh;
}

void SiteExchange::hear(const Report& report, const Origin& from) {
  const auto met = members_.ids();
  const Heard heard = state_.hear(report, from, *met);
  if (!heard.wrong.empty()) {
    alarms_.raise("reports by " + to_text(from),
                  to_text(from) + " sent " + heard.wrong + ": ignored");
  }
  if (!heard.moved) return;
  members_.heard(report.site);
  wakers_.wake_for_progress();
}

void SiteExchange::introduce(const SiteHello& peer) {
  members_.introduce(peer);
  state_.linked(peer.run());
}

void SiteExchange::parted(const SiteHello& peer) { state_.parted(peer.run()); }

void SiteExchange::describe(ReplicaStatus& status) const {
  status.peers = members_.name(state_.describe(status));
  set_ages(status);
}

// Reads the log.
void SiteExchange::set_ages(ReplicaStatus& status) const {
  for (PeerProgress& peer : status.peers) {
    Hlc oldest = 0;
    for (const auto& [origin, through] : status.applied.entries()) {
      const Hlc has = peer.acked.get(origin);
      if (has >= through) continue;
      auto first = context_.outbox.read_entries(origin, has, through, 1);
      if (!first || first->empty()) continue;
      if (oldest == 0 || first->front().first < oldest) oldest = first->front().first;
    }
    if (oldest == 0) {
      peer.records_behind = peer.bytes_behind = 0;
    } else {
      peer.oldest_behind_ms = std::max<int64_t>(1, context_.clock.wall_ms() - hlc_ms(oldest));
    }
  }
}

}  // namespace outrigger
