#include "proxy/session/server.h"

#include <algorithm>
#include <utility>

#include "config/limits.h"

namespace outrigger {
namespace {

// Runs `job` on `to`, whose thread `from` may be; then at once.
void run_on(net::Loop& to, const net::Loop& from, std::function<void()> job) {
  if (&to == &from) return job();
  to.post(std::move(job));
}

}  // namespace

Server::Server(net::Loop& loop, const std::vector<StoreDoor>& doors, Places& places,
               std::vector<Sessions*> sessions)
    : loop_(loop), doors_(doors), places_(places), sessions_(std::move(sessions)) {}

Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(net::Network& network,
                                               const std::vector<StoreDoor>& doors, Places& places,
                                               std::vector<Sessions*> sessions) {
  std::unique_ptr<Server> server(new Server(network.loop(), doors, places, std::move(sessions)));
  Server* self = server.get();
  for (const StoreDoor& door : self->doors_) {
    auto listener = network.listen_for_arrivals(
        door.address, [self, at = &door](std::unique_ptr<net::Arrival> arrival) {
          self->arrived({std::move(arrival), at});
        });
    if (!listener) return tl::unexpected(listener.error());
    server->listeners_.push_back(std::move(*listener));
  }
  return server;
}

void Server::arrived(Newcomer newcomer) {
  if (places_.take()) return seat(std::move(newcomer));
  if (newcomers_.size() < limits::kNewcomersMax) newcomers_.spawn(make_room(std::move(newcomer)));
}

net::Task<void> Server::make_room(Newcomer newcomer) {
  while (const std::optional<Guest> first = places_.take_first_to_go()) {
    const bool is_gone = co_await ask_to_go(*first);
    if (!is_gone || !places_.take()) continue;  // or another newcomer was faster
    seat(std::move(newcomer));
    co_return;
  }
}

net::Task<bool> Server::ask_to_go(Guest guest) {
  Sessions& sessions = *sessions_[guest.loop];
  const auto asked = std::make_shared<Asked>(loop_);
  run_on(sessions.loop(), loop_, [&sessions, guest, asked, &loop = loop_] {
    const bool is_gone = sessions.give_up(guest.number);
    run_on(loop, sessions.loop(), [asked, is_gone] { asked->set(is_gone); });
  });
  const bool is_gone = co_await asked->wait();
  co_return is_gone;
}

void Server::seat(Newcomer newcomer) {
  const auto has_fewer = [](const Sessions* one, const Sessions* other) {
    return one->count() < other->count();
  };
  Sessions& sessions = **std::min_element(sessions_.begin(), sessions_.end(), has_fewer);
  const uint64_t number = sessions.expect(loop_.now_us());
  if (&sessions.loop() == &loop_) {
    return sessions.welcome(number, std::move(newcomer.arrival), *newcomer.door);
  }
  const auto carried = std::make_shared<Newcomer>(std::move(newcomer));
  sessions.loop().post([&sessions, number, carried] {
    sessions.welcome(number, std::move(carried->arrival), *carried->door);
  });
}

net::Task<void> Server::drain(int64_t timeout_ms, std::function<void()> hurry) {
  for (const auto& listener : listeners_) listener->close();
  co_await newcomers_.until_empty();
  std::vector<std::shared_ptr<Asked>> drained;
  for (Sessions* sessions : sessions_) {
    const auto done = std::make_shared<Asked>(loop_);
    drained.push_back(done);
    run_on(sessions->loop(), loop_, [sessions, timeout_ms, hurry, done, &loop = loop_] {
      sessions->drain(timeout_ms, hurry, [sessions, done, &loop] {
        run_on(loop, sessions->loop(), [done] { done->set(true); });
      });
    });
  }
  for (const auto& each : drained) (void)co_await each->wait();
}

}  // namespace outrigger
