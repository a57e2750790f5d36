#include "proxy/session/sessions.h"

#include <vector>

#include "config/limits.h"

namespace outrigger {
namespace {

constexpr int64_t kSweepMs = 1'000;

}  // namespace

Sessions::Sessions(ProxyContext& context, Places& places, size_t number)
    : context_(context), places_(places), number_(number), timer_(context.loop) {
  watch();
}

Sessions::~Sessions() = default;

uint64_t Sessions::expect(uint64_t now_us) {
  const uint64_t number = ++last_number_;
  ++count_;
  places_.add({number_, number}, now_us);
  return number;
}

void Sessions::welcome(uint64_t number, std::unique_ptr<net::Arrival> arrival,
                       const StoreDoor& door) {
  auto client = arrival->open(context_.loop);
  if (client) return tasks_.spawn(serve(number, std::move(*client), door));
  places_.remove({number_, number});
  places_.give_back();
  --count_;
}

bool Sessions::give_up(uint64_t number) {
  const auto shaking = shaking_.find(number);
  const auto found = sessions_.find(number);
  const bool is_here = shaking != shaking_.end() || found != sessions_.end();
  if (!is_here || leaving_.count(number) > 0) return true;
  const bool is_session = found != sessions_.end();
  if (is_session && found->second->is_let_in()) return false;  // since it was chosen
  places_.remove({number_, number});
  if (is_session && !found->second->abort()) return false;
  if (!is_session) shaking->second->close();
  context_.metrics.strangers_closed.Increment();
  leaving_.insert(number);
  places_.give_back();
  return true;
}

void Sessions::store_gone(const std::string& process) {
  const std::map<uint64_t, Session*> now = sessions_;
  for (const auto& [number, session] : now) session->store_gone(process);
}

void Sessions::heard(uint64_t number, Session::News news) {
  const Guest guest{number_, number};
  if (news == Session::News::kLetIn) return places_.remove(guest);
  places_.spoke(guest, context_.loop.now_us());
}

void Sessions::sweep() {
  const uint64_t now_us = context_.loop.now_us();
  for (const uint64_t number : places_.overdue(number_, now_us)) {
    static_cast<void>(give_up(number));
  }
  for (const uint64_t number : places_.strangers_of(number_)) {
    const auto found = sessions_.find(number);
    if (found == sessions_.end()) continue;
    const uint64_t since_us = found->second->busy_since_us();
    if (since_us == 0) continue;
    const int64_t limit_ms =
        found->second->is_serving() ? limits::kStrangerServedMs : limits::kStrangerSilentMs;
    const bool is_stuck = now_us - since_us >= static_cast<uint64_t>(limit_ms) * 1000;
    if (is_stuck) static_cast<void>(give_up(number));
  }
}

void Sessions::watch() {
  timer_.start(kSweepMs, [this] {
    sweep();
    watch();
  });
}

net::Task<std::unique_ptr<net::Stream>> Sessions::shake_hands(uint64_t number,
                                                              std::unique_ptr<net::Stream> socket) {
  net::Stream* const raw = socket.get();  // until the hands are shaken, or it is closed
  std::string no_name;
  std::shared_ptr<net::TlsContext> rules = context_.app_tls;
  shaking_.emplace(number, raw);
  Result<std::unique_ptr<net::TlsStream>> secured = co_await net::TlsStream::handshake(
      std::move(socket), std::move(rules), std::move(no_name), limits::kStrangerSilentMs);
  shaking_.erase(number);
  if (!secured) {
    context_.log->debug("{}", secured.error().message());
    co_return nullptr;
  }
  co_return std::move(*secured);
}

net::Task<void> Sessions::serve(uint64_t number, std::unique_ptr<net::Stream> client,
                                StoreDoor door) {
  if (context_.app_tls) {
    client = co_await shake_hands(number, std::move(client));
    if (!client) co_return leave(number);
    if (leaving_.count(number) > 0) client->close();
  }
  std::function<void(Session::News)> on_news = [this, number](Session::News news) {
    heard(number, news);
  };
  auto session = std::make_unique<Session>(context_, context_.members[door.member], door.is_socket,
                                           std::move(client), std::move(on_news));
  sessions_.emplace(number, session.get());
  co_await session->run();
  session.reset();
  leave(number);
}

void Sessions::leave(uint64_t number) {
  places_.remove({number_, number});
  sessions_.erase(number);
  if (leaving_.erase(number) == 0) places_.give_back();
  --count_;
}

void Sessions::drain(int64_t timeout_ms, std::function<void()> hurry, std::function<void()> done) {
  drains_.spawn(draining(timeout_ms, std::move(hurry), std::move(done)));
}

net::Task<void> Sessions::draining(int64_t timeout_ms, std::function<void()> hurry,
                                   std::function<void()> done) {
  timer_.close();
  const std::map<uint64_t, Session*> now = sessions_;
  for (const auto& [number, session] : now) session->drain();
  const std::map<uint64_t, net::Stream*> shaking = shaking_;
  for (const auto& [number, socket] : shaking) socket->close();
  net::Timer limit(context_.loop);
  limit.start(timeout_ms, [this, hurry] {
    hurry();
    if (sessions_.empty()) return;
    context_.log->warn("closing {} client connections that did not end in time", sessions_.size());
    const std::map<uint64_t, Session*> left = sessions_;
    for (const auto& [number, session] : left) static_cast<void>(session->abort());
  });
  co_await tasks_.until_empty();
  limit.close();
  done();
}

}  // namespace outrigger
