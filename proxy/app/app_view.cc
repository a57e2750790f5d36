// What the admin port shows of the whole.
#include "proxy/app/app.h"

namespace outrigger {

AdminView App::admin_view() {
  AdminView view;
  view.metrics = [this] {
    const std::lock_guard<std::mutex> lock(scrape_mutex_);
    if (recovered_) gauges_->update(status());
    return metrics_.text();
  };
  view.status = [this] { return status_json(status()); };
  view.conflicts = [this](size_t limit, const LedgerPlace& from) -> Result<std::string> {
    if (!recovered_) return fail(ErrorCode::kUnavailable, "read conflicts", "", "not started yet");
    const auto page = replica_->conflicts(limit, from);
    if (!page) return tl::unexpected(page.error());
    return conflicts_json(*page);
  };
  view.quarantined = [this](size_t limit) -> Result<std::string> {
    if (!recovered_) {
      return fail(ErrorCode::kUnavailable, "read records set aside", "", "not started yet");
    }
    const auto entries = replica_->quarantined(limit);
    if (!entries) return tl::unexpected(entries.error());
    return quarantine_json(*entries);
  };
  view.retry = [this](const std::string& record) -> Status {
    if (!recovered_) {
      return fail(ErrorCode::kUnavailable, "try a record again", "", "not started yet");
    }
    return replica_->retry_quarantined(record);
  };
  view.ready = [this] { return ready(); };
  return view;
}

StatusParts App::status() const {
  StatusParts parts;
  parts.version = "0.1.0";
  parts.store_available = store_available_;
  parts.uptime_ms = clock_.wall_ms() - started_ms_;
  parts.replica.site = settings_.site;
  parts.store = "starting";
  if (!recovered_) return parts;
  parts.store = store_text_;
  parts.replica = replica_->status();
  if (!serving_) return parts;
  parts.peers = peers_->status();
  parts.connections = static_cast<uint64_t>(proxy_metrics_->connections.Value());
  return parts;
}

Status App::ready() const {
  if (stopping_) return fail(ErrorCode::kClosed, "serve", "", "draining");
  if (!serving_) {
    return fail(ErrorCode::kUnavailable, "serve", store_endpoint_.address,
                "starting or waiting for it");
  }
  if (!store_available_) {
    return fail(ErrorCode::kUnavailable, "serve", store_endpoint_.address, "the store is away");
  }
  return replica_->admit();
}

}  // namespace outrigger
