// The TTL monitors of a set's members that are not primary. They do nothing, until one is elected:
// then its monitor would be at work before the sidecar has heard of it. So they rest, too.
#pragma once

#include <memory>
#include <vector>

#include "proxy/expiry/store_monitor.h"

namespace outrigger {

// Of the loop's thread. Nobody waits for a member that does not answer.
class MemberMonitors {
 public:
  // `context` outlives it. `login`, `mark`: as of the primary's. Of one member alone it has none.
  MemberMonitors(ProxyContext& context, const std::optional<StoreLogin>& login,
                 const MonitorMark& mark);

  // See StoreMonitor; in the background.
  void tend(bool rests);
  // Those that rest because of us and answer within seconds work again.
  net::Task<void> give_back();
  // Ends when nothing runs any more; at once, if it can.
  net::Task<void> close();

 private:
  struct Each {
    Each(ProxyContext& context, const std::optional<StoreLogin>& login, const MonitorMark& mark,
         size_t member)
        : connection(context, login, member), monitor(connection, mark, context.log, true) {}
    OwnConnection connection;
    StoreMonitor monitor;
    bool is_busy = false;
  };
  net::Task<void> tend(Each& each, bool rests);
  net::Task<void> give_back(Each& each);

  net::Loop& loop_;
  std::vector<std::unique_ptr<Each>> members_;
  net::TaskGroup tasks_;
};

}  // namespace outrigger
