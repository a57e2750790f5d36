// The doors for apps, one a member of the store (mongo/backend.h): takes connections up to a limit
// and gives each to the loop that serves the fewest. When all places are taken a newcomer gets that
// of a stranger (strangers.h), and is refused when there is none, or when
// kNewcomersMax wait for such a place.
//
// A connection becomes a stream only where it is served, so the door hands on no more than a
// socket. A stranger of another loop is asked to go, which takes a moment; the newcomer waits.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/net/network.h"
#include "proxy/session/places.h"
#include "proxy/session/sessions.h"

namespace outrigger {

// Of its network's loop.
class Server {
 public:
  // Everything is borrowed and outlives the server. `sessions`: by the number of the loop.
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(net::Network& network,
                                                              const std::vector<StoreDoor>& doors,
                                                              Places& places,
                                                              std::vector<Sessions*> sessions);
  ~Server();

  // Takes no new connections, lets commands under way be answered, and returns when all sessions
  // have ended. See Sessions::drain; `hurry` is called on each loop, once.
  net::Task<void> drain(int64_t timeout_ms, std::function<void()> hurry);

 private:
  using Asked = net::OneShot<bool>;

  Server(net::Loop& loop, const std::vector<StoreDoor>& doors, Places& places,
         std::vector<Sessions*> sessions);
  // Somebody who came by this door.
  struct Newcomer {
    std::unique_ptr<net::Arrival> arrival;
    const StoreDoor* door = nullptr;
  };
  void arrived(Newcomer newcomer);
  net::Task<void> make_room(Newcomer newcomer);
  net::Task<bool> ask_to_go(Guest guest);
  void seat(Newcomer newcomer);

  net::Loop& loop_;
  const std::vector<StoreDoor> doors_;
  Places& places_;
  const std::vector<Sessions*> sessions_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  net::TaskGroup newcomers_;
};

}  // namespace outrigger
