// mongod's own TTL monitor. Every minute it deletes what is due, and tells nobody: so it rests
// while the sidecar does that. `ttlMonitorEnabled` holds for one run of mongod, which begins with a
// minute of sleep; so it is looked at again and again.
//
// Who started mongod with ttlMonitorEnabled=false, or set it so, wants nothing to expire. That is
// left so. What we put to rest is told by a mark on disk, which names that run of mongod: of a
// sidecar that was killed the next one must be able to give it back, and nobody else's pause may be
// taken for ours. On a set of several members it names a process of each.
#pragma once

#include <functional>
#include <string>

#include "proxy/expiry/own_connection.h"

namespace outrigger {

enum class MonitorState : uint8_t {
  kUnknown,  // nobody lets us ask
  kWorks,
  kRests,
  kForbidden,  // mongod was started without it, or somebody else has put it to rest
};

// Which processes of mongod have their monitors at rest because of us, their names (12 bytes each)
// one after the other; "": none.
struct MonitorMark {
  std::function<Result<std::string>()> read;
  std::function<Status(const std::string& processes)> write;  // on disk when it returns
};

// Of the loop's thread.
class StoreMonitor {
 public:
  // `connection` outlives it. `is_one_of_several`: the mark may name others, which stay in it.
  StoreMonitor(OwnConnection& connection, MonitorMark mark, Logger log, bool is_one_of_several)
      : connection_(connection),
        mark_(std::move(mark)),
        log_(std::move(log)),
        is_one_of_several_(is_one_of_several) {}

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
  net::Task<Status> put_to_rest();
  net::Task<Status> wake();
  net::Task<Status> set(bool works);
  // Puts the process that answers into the mark, or takes it out.
  [[nodiscard]] Status mark(bool is_ours);

  OwnConnection& connection_;
  const MonitorMark mark_;
  const Logger log_;
  const bool is_one_of_several_;
  MonitorState state_ = MonitorState::kUnknown;
  bool is_forbidden_ = false;  // by how mongod was started
};

}  // namespace outrigger
