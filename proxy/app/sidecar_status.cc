// What a sidecar says of itself.
#include "proxy/app/sidecar.h"

namespace outrigger {

StatusParts Sidecar::status() const {
  StatusParts parts;
  parts.version = "0.1.0";
  parts.store_available = store_available_;
  parts.uptime_ms = ports_.clock.wall_ms() - started_ms_;
  parts.replica.site = settings_.site;
  parts.store = "starting";
  if (!recovered_) return parts;
  parts.store = store_text_;
  parts.replica = replica_->status();
  parts.replica.documents_put_back = recovery_->documents_put_back();
  if (!serving_) return parts;
  parts.members = members_.status();
  parts.peers = peers_->status();
  parts.expiry = expiry_->status();
  parts.connections = static_cast<uint64_t>(proxy_metrics_->connections.Value());
  return parts;
}

Status Sidecar::ready() const {
  if (stopping_) return fail(ErrorCode::kClosed, "serve", "", "draining");
  if (!serving_) {
    return fail(ErrorCode::kUnavailable, "serve", ports_.store.address,
                "starting or waiting for it");
  }
  if (!store_available_) {
    return fail(ErrorCode::kUnavailable, "serve", ports_.store.address,
                "the store is away, or was started anew and gets back what it forgot");
  }
  return replica_->admit();
}

}  // namespace outrigger
