// The door for apps: accepts connections up to a limit, runs a session for each, drains them. When
// all places are taken a newcomer gets that of a stranger (strangers.h), and is refused when there
// is none.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_set>

#include "proxy/net/network.h"
#include "proxy/session/session.h"
#include "proxy/session/strangers.h"

namespace outrigger {

class Server {
 public:
  // `context` outlives the server.
  static Result<std::unique_ptr<Server>> listen(ProxyContext& context, net::Network& network,
                                                const std::string& address,
                                                uint64_t connections_max);
  ~Server();

  // Takes no new connections, lets commands under way be answered, and returns when all sessions
  // have ended. After `timeout_ms` what is left is closed and `give_up` is called once: writes are
  // finished in any case, but those in doubt may be left to recovery.
  net::Task<void> drain(int64_t timeout_ms, std::function<void()> give_up);

  [[nodiscard]] size_t connections() const { return sessions_.size(); }
  [[nodiscard]] uint16_t port() const { return listener_->port(); }

 private:
  Server(ProxyContext& context, uint64_t connections_max);
  net::Task<void> serve(std::unique_ptr<net::Stream> client);
  [[nodiscard]] bool admit();
  bool give_up(Session* session);
  void heard(Session& session, Session::News news);
  // Strangers that are silent, or that cannot be done with, have had their time.
  void sweep();
  void watch();

  ProxyContext& context_;
  const uint64_t connections_max_;
  std::unique_ptr<net::Listener> listener_;
  std::map<uint64_t, Session*> sessions_;  // by number, in the order they came
  uint64_t last_number_ = 0;
  std::unordered_set<Session*> leaving_;  // of these, those that were given up
  Strangers<Session*> strangers_;
  net::Timer timer_;
  net::TaskGroup tasks_;
};

}  // namespace outrigger
