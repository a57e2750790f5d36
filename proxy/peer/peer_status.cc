#include "proxy/peer/peer_status.h"

#include <algorithm>
#include <utility>

namespace outrigger {

namespace {

constexpr int64_t kStrangerLogUs = 1'000'000;

}  // namespace

const char* to_text(PeerState state) {
  switch (state) {
    case PeerState::kWaiting:
      return "waiting";
    case PeerState::kConnecting:
      return "connecting";
    case PeerState::kOpen:
      return "open";
    case PeerState::kRefused:
      return "refused";
  }
  return "unknown";
}

PeerStatusBoard::PeerStatusBoard(const std::vector<PeerSite>& sites, const Clock& clock, Logger log)
    : clock_(clock), log_(std::move(log)) {
  for (const PeerSite& settings : sites) {
    PeerStatus status;
    status.site = settings.site;
    if (settings.address) status.address = settings.address->text();
    status.since_ms = clock_.wall_ms();
    sites_.push_back(std::move(status));
  }
}

PeerStatus& PeerStatusBoard::at(const std::string& site) {
  auto found = std::find_if(sites_.begin(), sites_.end(),
                            [&](const PeerStatus& status) { return status.site == site; });
  // The name is what a peer said of itself, however well it was checked.
  return found == sites_.end() ? nobody_ : *found;
}

void PeerStatusBoard::set_state(PeerStatus& status, PeerState state) {
  if (std::exchange(status.state, state) == state) return;
  status.since_ms = clock_.wall_ms();
  if (state == PeerState::kOpen) return;
  status.remote.clear();
  status.counters.rtt_ms = -1;
}

void PeerStatusBoard::dialling(const std::string& site) {
  std::lock_guard lock(mutex_);
  PeerStatus& status = at(site);
  ++status.dials;
  // A refused site stays shown as refused while it is tried again.
  if (status.state == PeerState::kWaiting) set_state(status, PeerState::kConnecting);
}

void PeerStatusBoard::opened(const std::string& site, bool dialled, const std::string& remote) {
  {
    std::lock_guard lock(mutex_);
    PeerStatus& status = at(site);
    ++status.links;
    status.dialled = dialled;
    status.remote = remote;
    set_state(status, PeerState::kOpen);
  }
  log_->info("link to {} is open ({} {})", site, dialled ? "dialled" : "accepted from", remote);
}

void PeerStatusBoard::counted(const std::string& site, const PeerCounters& total) {
  std::lock_guard lock(mutex_);
  at(site).counters = total;
}

void PeerStatusBoard::failed(const std::string& site, PeerState state, const std::string& text) {
  bool is_news = false;
  {
    std::lock_guard lock(mutex_);
    PeerStatus& status = at(site);
    // A site that is away for hours fails the same way at every dial: one line is enough.
    is_news = status.last_error != text || status.state == PeerState::kOpen;
    status.last_error = text;
    status.last_error_ms = clock_.wall_ms();
    set_state(status, state);
  }
  if (is_news) log_->warn("no link to {}: {}", site, text);
}

void PeerStatusBoard::waiting(const std::string& site) {
  std::lock_guard lock(mutex_);
  set_state(at(site), PeerState::kWaiting);
}

void PeerStatusBoard::stranger(const std::string& text) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(last_stranger_, text) == text) return;
    // Anybody can come again and again: the log has one line a second of it.
    const int64_t now_us = clock_.monotonic_us();
    if (stranger_logged_us_ && now_us - *stranger_logged_us_ < kStrangerLogUs) return;
    stranger_logged_us_ = now_us;
  }
  log_->warn("refused a connection from {}", text);
}

std::vector<PeerStatus> PeerStatusBoard::all() const {
  std::lock_guard lock(mutex_);
  return sites_;
}

std::string PeerStatusBoard::last_stranger() const {
  std::lock_guard lock(mutex_);
  return last_stranger_;
}

}  // namespace outrigger
