#include "proxy/session/server.h"

#include <vector>

#include "config/limits.h"

namespace outrigger {
namespace {

constexpr int64_t kSweepMs = 1'000;

}  // namespace

Server::Server(ProxyContext& context, uint64_t connections_max)
    : context_(context), connections_max_(connections_max), timer_(context.loop) {}

Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(ProxyContext& context, net::Network& network,
                                               const std::string& address,
                                               uint64_t connections_max) {
  std::unique_ptr<Server> server(new Server(context, connections_max));
  Server* self = server.get();
  auto listener = network.listen(address, [self](std::unique_ptr<net::Stream> client) {
    self->tasks_.spawn(self->serve(std::move(client)));
  });
  if (!listener) return tl::unexpected(listener.error());
  server->listener_ = std::move(*listener);
  server->listener_->set_admission([self] { return self->admit(); });
  server->watch();
  return server;
}

bool Server::admit() {
  if (sessions_.size() - leaving_.size() < connections_max_) return true;
  while (const auto first = strangers_.first_to_go()) {
    if (give_up(*first)) return true;
  }
  return false;
}

// True when its descriptors are free now; its task ends soon.
bool Server::give_up(Session* session) {
  strangers_.remove(session);
  if (!session->abort()) return false;
  context_.metrics.strangers_closed.Increment();
  leaving_.insert(session);
  return true;
}

void Server::heard(Session& session, Session::News news) {
  if (news == Session::News::kLetIn) return strangers_.remove(&session);
  strangers_.spoke(&session, context_.loop.now_us());
}

void Server::sweep() {
  const uint64_t now_us = context_.loop.now_us();
  for (Session* session : strangers_.overdue(now_us)) static_cast<void>(give_up(session));
  std::vector<Session*> stuck;
  for (Session* session : strangers_.all()) {
    const uint64_t since_us = session->busy_since_us();
    if (since_us == 0) continue;
    const int64_t limit_ms =
        session->is_serving() ? limits::kStrangerServedMs : limits::kStrangerSilentMs;
    if (now_us - since_us >= static_cast<uint64_t>(limit_ms) * 1000) stuck.push_back(session);
  }
  for (Session* session : stuck) static_cast<void>(give_up(session));
}

void Server::watch() {
  timer_.start(kSweepMs, [this] {
    sweep();
    watch();
  });
}

net::Task<void> Server::serve(std::unique_ptr<net::Stream> client) {
  std::function<void(Session&, Session::News)> on_news = [this](Session& from, Session::News news) {
    heard(from, news);
  };
  auto session = std::make_unique<Session>(context_, std::move(client), std::move(on_news));
  Session* key = session.get();
  const uint64_t number = ++last_number_;
  sessions_.emplace(number, key);
  strangers_.add(key, context_.loop.now_us());
  co_await session->run();
  strangers_.remove(key);
  sessions_.erase(number);
  leaving_.erase(key);
}

net::Task<void> Server::drain(int64_t timeout_ms, std::function<void()> give_up) {
  listener_->close();
  timer_.close();
  const std::map<uint64_t, Session*> now = sessions_;
  for (const auto& [number, session] : now) session->drain();
  net::Timer limit(context_.loop);
  limit.start(timeout_ms, [this, give_up] {
    give_up();
    if (sessions_.empty()) return;
    context_.log->warn("closing {} client connections that did not end in time", sessions_.size());
    const std::map<uint64_t, Session*> left = sessions_;
    for (const auto& [number, session] : left) static_cast<void>(session->abort());
  });
  co_await tasks_.until_empty();
  limit.close();
}

}  // namespace outrigger
