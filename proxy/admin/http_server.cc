#include "proxy/admin/http_server.h"

#include "config/limits.h"

namespace outrigger {
namespace {

constexpr size_t kLargeAnswerBytes = 256 * 1024;
// What is still coming when the answer is out is read and dropped, within these: closing at once
// would take the answer away from whoever is still sending.
constexpr int64_t kLingerMs = 1'000;
constexpr size_t kLingerBytesMax = 1 << 20;

net::Task<void> all_gone(net::TaskGroup& tasks) { co_await tasks.until_empty(); }

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const Endpoint& endpoint, Routes routes,
                                                       Threads& threads) {
  std::unique_ptr<HttpServer> server(new HttpServer(endpoint, std::move(routes), threads));
  HttpServer* self = server.get();
  auto listener = self->network_.listen(
      endpoint.text(),
      [self](std::unique_ptr<net::Stream> stream) { self->accept(std::move(stream)); });
  if (!listener) return tl::unexpected<Error>(std::move(listener.error()));
  self->listener_ = std::move(*listener);
  self->port_ = self->listener_->port();
  self->worker_ = threads.start([self] { self->work(); });
  self->thread_ = threads.start([self] { self->loop_.run(); });
  return server;
}

HttpServer::~HttpServer() {
  loop_.stop();
  thread_.reset();
  if (listener_) listener_->close();
  for (Connection& connection : connections_) connection.stream->close();
  {
    const MutexLock lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  loop_.block_on(all_gone(tasks_));  // the worker answers what it was asked
  worker_.reset();
}

void HttpServer::work() {
  MutexLock lock(mutex_);
  for (;;) {
    while (!is_stopping_ && jobs_.empty()) wake_.wait(mutex_);
    if (jobs_.empty()) return;
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
}

void HttpServer::accept(std::unique_ptr<net::Stream> stream) {
  size_t standing = 0;
  for (const Connection& connection : connections_) standing += connection.given_up ? 0 : 1;
  if (standing >= limits::kAdminConnectionsMax) {
    for (Connection& connection : connections_) {
      if (std::exchange(connection.given_up, true)) continue;
      connection.stream->close();
      break;
    }
  }
  tasks_.spawn(serve(std::move(stream)));
}

net::Task<void> HttpServer::serve(std::unique_ptr<net::Stream> stream) {
  const auto place = connections_.insert(connections_.end(), Connection{stream.get(), false});
  net::Timer timer(loop_);
  co_await converse(*stream, timer);
  timer.cancel();
  connections_.erase(place);
}

net::Task<Result<std::string>> HttpServer::read_head(net::Stream& stream) {
  std::string head;
  for (;;) {
    const Result<std::string_view> bytes = co_await stream.read_some();
    if (!bytes) co_return tl::unexpected<Error>(bytes.error());
    if (bytes->empty()) co_return fail(ErrorCode::kClosed, "read a request", "", "it ended");
    head.append(bytes->substr(0, limits::kAdminHeadBytesMax + 1));
    const auto end = head_end(head);
    if (end && *end <= limits::kAdminHeadBytesMax) {
      head.resize(*end);
      co_return head;
    }
    if (head.size() > limits::kAdminHeadBytesMax) {
      co_return fail(ErrorCode::kNoSpace, "read a request", "", "its head is too long");
    }
  }
}

net::Task<void> HttpServer::converse(net::Stream& stream, net::Timer& timer) {
  net::Stream* socket = &stream;
  timer.start(limits::kAdminRequestMs, [socket] { socket->close(); });
  const Result<std::string> head = co_await read_head(stream);
  if (!head && head.error().code != ErrorCode::kNoSpace) co_return;
  HttpAnswer out{431, "text/plain", "the head of the request is too long\n"};
  bool head_only = false;
  if (head) {
    const auto request = parse_request(*head, endpoint_);
    if (request) {
      head_only = request->head_only;
      out = co_await answer(*request);
    } else {
      out = request.error();
    }
  }
  const bool is_large = out.body.size() > kLargeAnswerBytes;
  if (is_large && large_answers_ >= limits::kAdminAnswersMax) {
    out = HttpAnswer{503, "text/plain", "too many large answers are being read: try again\n"};
  }
  const std::string bytes = to_bytes(out, head_only);
  out.body = {};
  const bool counts = bytes.size() > kLargeAnswerBytes;
  if (counts) ++large_answers_;
  co_await send(stream, timer, bytes);
  if (counts) --large_answers_;
}

net::Task<HttpAnswer> HttpServer::answer(const HttpRequest& request) {
  const auto found = routes_.find(request.path);
  if (found == routes_.end()) {
    HttpAnswer nothing{404, "text/plain", "there is nothing here\n"};
    co_return nothing;
  }
  const Route& route = found->second;
  if (route.posted != request.posted) {
    HttpAnswer wrong{405, "text/plain", route.posted ? "only by POST\n" : "only by GET\n"};
    co_return wrong;
  }
  if (route.at_once) {
    HttpAnswer made = route.make(request);
    co_return made;
  }
  const auto made = std::make_shared<net::OneShot<HttpAnswer>>(loop_);
  std::function<void()> job = [this, &route, request, made] {
    const auto answer = std::make_shared<HttpAnswer>(route.make(request));
    loop_.post([made, answer] { made->set(std::move(*answer)); });
  };
  {
    const MutexLock lock(mutex_);
    // Who was given up still has its job here.
    if (jobs_.size() >= limits::kAdminConnectionsMax) {
      HttpAnswer busy{503, "text/plain", "too many answers are asked for: try again\n"};
      co_return busy;
    }
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  HttpAnswer answer = co_await made->wait();
  co_return answer;
}

net::Task<void> HttpServer::send(net::Stream& stream, net::Timer& timer, const std::string& bytes) {
  net::Stream* socket = &stream;
  timer.start(limits::kAdminAnswerMs, [socket] { socket->close(); });
  const Status sent = co_await stream.write(bytes);
  if (!sent) co_return;
  const Status ended = co_await stream.shutdown();
  if (!ended) co_return;
  timer.start(kLingerMs, [socket] { socket->close(); });
  size_t dropped = 0;
  while (dropped < kLingerBytesMax) {
    const Result<std::string_view> rest = co_await stream.read_some();
    if (!rest || rest->empty()) co_return;
    dropped += rest->size();
  }
}

}  // namespace outrigger
