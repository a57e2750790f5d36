#include "proxy/server.h"

namespace outrigger {

Server::Server(ProxyContext& context, uint32_t connections_max)
    : context_(context), connections_max_(connections_max) {}

Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(ProxyContext& context, const std::string& address,
                                               uint32_t connections_max) {
  std::unique_ptr<Server> server(new Server(context, connections_max));
  Server* self = server.get();
  auto listener =
      net::Listener::listen(context.loop, address, [self](std::unique_ptr<net::Stream> client) {
        self->tasks_.spawn(self->serve(std::move(client)));
      });
  if (!listener) return tl::unexpected(listener.error());
  server->listener_ = std::move(*listener);
  server->listener_->set_admission(
      [self] { return self->sessions_.size() < self->connections_max_; });
  return server;
}

net::Task<void> Server::serve(std::unique_ptr<net::Stream> client) {
  auto session = std::make_unique<Session>(context_, std::move(client));
  Session* key = session.get();
  sessions_.insert(key);
  co_await session->run();
  sessions_.erase(key);
}

net::Task<void> Server::drain(int64_t timeout_ms, std::function<void()> give_up) {
  listener_->close();
  std::unordered_set<Session*> now = sessions_;
  for (Session* session : now) session->drain();
  net::Timer limit(context_.loop);
  limit.start(timeout_ms, [this, give_up] {
    give_up();
    if (sessions_.empty()) return;
    context_.log->warn("closing {} client connections that did not end in time", sessions_.size());
    const std::unordered_set<Session*> left = sessions_;
    for (Session* session : left) session->abort();
  });
  co_await tasks_.until_empty();
  limit.close();
}

}  // namespace outrigger
