// A small HTTP server for the admin port, on two threads of its own: one moves bytes, one makes
// answers.
//
// The problem: whoever reaches the port may connect and send nothing, or without end, or read
// nothing; and what is asked for may take a while. None of that may keep health from being
// answered, or cost memory without bound. The idea: connections are few, and the oldest gives way
// to a new one; each has a time to ask and a time to take its answer; the thread that moves bytes
// never blocks, and answers by itself what needs nothing but itself (health). Large answers are
// fewer still.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "config/result.h"
#include "config/threads.h"
#include "proxy/admin/http_request.h"
#include "proxy/net/loop.h"
#include "proxy/net/uv/uv_network.h"

namespace outrigger {

class HttpServer {
 public:
  using Make = std::function<HttpAnswer(const HttpRequest&)>;
  struct Route {
    Make make;
    bool at_once = false;  // by the thread that moves bytes: it must not block
    bool posted = false;   // it changes something: only a POST may ask for it
  };
  using Routes = std::map<std::string, Route>;  // by path

  // Listens at once; kUnavailable when the port is taken. `threads` outlives it.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> listen(const Endpoint& endpoint,
                                                                  Routes routes, Threads& threads);
  // Ends what is under way.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  struct Connection {
    net::Stream* stream;
    bool given_up = false;
  };

  HttpServer(const Endpoint& endpoint, Routes routes, Threads& threads)
      : endpoint_(endpoint), routes_(std::move(routes)), threads_(threads) {}
  void accept(std::unique_ptr<net::Stream> stream);
  net::Task<void> serve(std::unique_ptr<net::Stream> stream);
  net::Task<void> converse(net::Stream& stream, net::Timer& timer);
  net::Task<Result<std::string>> read_head(net::Stream& stream);
  net::Task<HttpAnswer> answer(const HttpRequest& request);
  net::Task<void> send(net::Stream& stream, net::Timer& timer, const std::string& bytes);
  void work();  // the other thread

  const Endpoint endpoint_;
  const Routes routes_;
  uint16_t port_ = 0;
  net::Loop loop_;
  net::UvNetwork network_{loop_};
  net::TaskGroup tasks_;
  std::unique_ptr<net::Listener> listener_;
  std::list<Connection> connections_;  // oldest first
  size_t large_answers_ = 0;

  Threads& threads_;
  Mutex mutex_;
  Condition wake_{threads_};
  std::deque<std::function<void()>> jobs_ GUARDED_BY(mutex_);
  bool is_stopping_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<Threads::Thread> worker_;
  std::unique_ptr<Threads::Thread> thread_;
};

}  // namespace outrigger
