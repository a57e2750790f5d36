// The app connections that one loop serves: runs a session for each, closes strangers that have had
// their time, drains them. They come from the door (server.h), with a place for each (places.h).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <unordered_set>

#include "proxy/net/listener.h"
#include "proxy/session/places.h"
#include "proxy/session/session.h"

namespace outrigger {

// Of the loop's thread, but for what is said otherwise.
class Sessions {
 public:
  // `context` and `places` outlive this. `number`: of the loop, among those that serve connections.
  // Before the loop runs, or on its thread.
  Sessions(ProxyContext& context, Places& places, size_t number);
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // ---- any thread
  [[nodiscard]] net::Loop& loop() const { return context_.loop; }
  // Those that are here or on their way.
  [[nodiscard]] size_t count() const { return count_; }
  // One is on its way, a stranger, and has a place: its number.
  [[nodiscard]] uint64_t expect(uint64_t now_us);

  // ---- the loop's thread
  // The one that was expected under this number; it came by this door.
  void welcome(uint64_t number, std::unique_ptr<net::Arrival> arrival, const StoreDoor& door);
  // The connection is to go. True: its descriptors and its place are free now, or have been before.
  // False: it has been let in, or a write of its is under way.
  bool give_up(uint64_t number);
  // See Session::store_gone.
  void store_gone(const std::string& process);
  // Lets commands under way be answered; `done` is called when all have ended. After `timeout_ms`
  // what is left is closed and `hurry` is called once: writes are finished in any case, but those
  // in doubt may be left to recovery. Once, when nobody else is on the way here.
  void drain(int64_t timeout_ms, std::function<void()> hurry, std::function<void()> done);

 private:
  net::Task<void> serve(uint64_t number, std::unique_ptr<net::Stream> client, StoreDoor door);
  // What the app speaks over its socket. Nothing: it could not be agreed.
  net::Task<std::unique_ptr<net::Stream>> shake_hands(uint64_t number,
                                                      std::unique_ptr<net::Stream> socket);
  void leave(uint64_t number);
  net::Task<void> draining(int64_t timeout_ms, std::function<void()> hurry,
                           std::function<void()> done);
  void heard(uint64_t number, Session::News news);
  // Strangers that are silent, or that cannot be done with, have had their time.
  void sweep();
  void watch();

  ProxyContext& context_;
  Places& places_;
  const size_t number_;
  std::atomic<size_t> count_{0};
  std::map<uint64_t, Session*> sessions_;     // by number, in the order they came
  std::map<uint64_t, net::Stream*> shaking_;  // likewise, who have no session yet: their sockets
  std::atomic<uint64_t> last_number_{0};
  std::unordered_set<uint64_t> leaving_;  // of these, those that were given up, without a place
  net::Timer timer_;
  net::TaskGroup tasks_;
  net::TaskGroup drains_;
};

}  // namespace outrigger
