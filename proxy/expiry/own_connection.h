// A connection to the store as an app would have one, but logged in as the sidecar's own user. It
// passes the gate like everybody (mongo/store_gate.h), so what is written over it is captured.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/expiry/store_answer.h"
#include "proxy/writes/context.h"
#include "replication/store/mongo/connection/store_address.h"

namespace outrigger {

// Of the loop's thread.
class OwnConnection {
 public:
  // `context` outlives it. `login`: none where the store is used without a user. `member`: the only
  // one it goes to, whatever that one is; without, of several, it goes to the primary.
  OwnConnection(ProxyContext& context, std::optional<StoreLogin> login,
                std::optional<size_t> member = std::nullopt)
      : context_(context), login_(std::move(login)), member_(member) {}

  // Dials and logs in where that is not so already. Until `pass_gate` nothing is to be written.
  net::Task<Status> open();
  // kUnavailable: the run of mongod that answers is not served now. Opens it first.
  net::Task<Status> pass_gate();
  // As ask_store(), after open().
  net::Task<Result<StoreAnswer>> ask(std::string body) {
    return ask_store(*backend_, std::move(body));
  }
  // After open().
  [[nodiscard]] Backend& backend() { return *backend_; }
  // Which process of mongod answers, after open().
  [[nodiscard]] std::string process() const {
    return std::string(process_part(backend_->process.value_or("")));
  }
  [[nodiscard]] bool is_open() const { return backend_ && backend_->is_open(); }
  // It was made anew since the last time this was asked.
  [[nodiscard]] bool was_opened() { return std::exchange(was_opened_, false); }
  // Whoever waits for an answer gets an error.
  void close();
  // That run of mongod is gone.
  void store_gone(const std::string& process);

 private:
  net::Task<Status> open_at(const StoreMember& member);

  ProxyContext& context_;
  const std::optional<StoreLogin> login_;
  const std::optional<size_t> member_;
  std::unique_ptr<Backend> backend_;
  size_t last_ = 0;  // of the members, the one that was primary
  bool was_opened_ = false;
};

}  // namespace outrigger
