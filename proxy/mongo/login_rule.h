// Whether mongod asks for a login. Where it does, a connection that has not logged in is a
// stranger's, and gets little until it has; where it does not, whoever speaks is let in.
//
// The sidecar cannot tell from its own connections, which log in. So it keeps one that does not,
// and asks now and then for something that only those who are let in may see: mongod may be started
// anew with the other rule.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "proxy/mongo/backend.h"

namespace outrigger {

// Of the loop's thread.
class LoginRule {
 public:
  using Dial = std::function<net::Task<Result<std::unique_ptr<Backend>>>()>;
  explicit LoginRule(Dial dial) : dial_(std::move(dial)) {}

  // Until mongod has told, it is taken to ask. Any thread.
  [[nodiscard]] bool asks_login() const { return asks_login_; }
  // Asks mongod; nothing when it is being asked already, or does not say.
  net::Task<void> learn();
  // A learn() under way ends, later ones do nothing.
  void close();

 private:
  const Dial dial_;
  std::unique_ptr<Backend> backend_;
  std::atomic<bool> asks_login_{true};
  bool asking_ = false;
  bool is_closed_ = false;
};

// What the answer to the question says; nothing: it does not tell.
[[nodiscard]] std::optional<bool> asks_login(const bson::Document& answer);

}  // namespace outrigger
