// mongod's own TTL monitor. Every minute it deletes what is due, and tells nobody: so it rests
// while the sidecar does that. `ttlMonitorEnabled` holds for one run of mongod, which begins with a
// minute of sleep; so it is looked at again and again.
//
// Who started mongod with ttlMonitorEnabled=false wants nothing to expire. That is left so.
#pragma once

#include "proxy/expiry/own_connection.h"

namespace outrigger {

enum class MonitorState : uint8_t {
  kUnknown,  // nobody lets us ask
  kWorks,
  kRests,
  kForbidden,  // mongod was started without it
};

// Of the loop's thread.
class StoreMonitor {
 public:
  // Both outlive it.
  StoreMonitor(OwnConnection& connection, Logger log)
      : connection_(connection), log_(std::move(log)) {}

  // Looks at it, and makes it rest or, if it was us who made it rest, work again. Over a connection
  // that is open. kRefused: our user may not do that, and which right is missing; then state() is
  // what it was or kUnknown. Other errors: no answer.
  net::Task<Status> tend(bool rests);
  // It works again, if it was us who made it rest. Opens the connection where that is needed.
  net::Task<Status> give_back();
  [[nodiscard]] MonitorState state() const { return state_; }

 private:
  net::Task<Status> learn_options();
  net::Task<Status> look();
  net::Task<Status> set(bool works);

  OwnConnection& connection_;
  const Logger log_;
  MonitorState state_ = MonitorState::kUnknown;
  bool is_ours_ = false;  // it rests because of us, or of the sidecar before us
};

}  // namespace outrigger
