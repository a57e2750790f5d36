// A question of the sidecar's own to the store, and what the store says to it.
#pragma once

#include <string>

#include "proxy/mongo/backend.h"

namespace outrigger {

struct StoreAnswer {
  std::string message;  // whole; well formed
  int code = 0;         // of the error that it is
  std::string words;    // mongod's own

  [[nodiscard]] bson::Document body() const;
  [[nodiscard]] bool is_ok() const { return code == 0; }
};

// Of a whole message that is well formed, or of its body alone.
[[nodiscard]] StoreAnswer read_answer(std::string message);
[[nodiscard]] StoreAnswer read_answer_body(const std::string& body);

// kClosed and the like: there is no answer, and the connection is gone. A store that says no is an
// answer. `backend` outlives the task.
net::Task<Result<StoreAnswer>> ask_store(Backend& backend, std::string body);

}  // namespace outrigger
