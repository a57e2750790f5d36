// The note in the outbox that this process writes over a connection to the store: by session and
// local address the recovery of the next start finds what the process left running there.
//
// The note goes with this, unless a write over the connection is in doubt: then only recovery, or
// whoever settles the write, knows when nothing of it runs any more.
#pragma once

#include <string>
#include <utility>

#include "config/result.h"
#include "replication/outbox/outbox.h"

namespace outrigger::outbox {

class BackendNote {
 public:
  BackendNote() = default;  // nothing is noted
  // Notes it under this key of meta. `outbox` outlives what this gives.
  [[nodiscard]] static Result<BackendNote> write(Outbox& outbox, std::string key);
  BackendNote(BackendNote&& other) noexcept;
  BackendNote& operator=(BackendNote&& other) noexcept;
  BackendNote(const BackendNote&) = delete;
  BackendNote& operator=(const BackendNote&) = delete;
  ~BackendNote() { forget(); }

  explicit operator bool() const { return outbox_ != nullptr; }
  // Whether a write may be on its way over the connection, or what became of one is not known.
  void set_in_doubt(bool in_doubt) { in_doubt_ = in_doubt; }

 private:
  BackendNote(Outbox& outbox, std::string key) : outbox_(&outbox), key_(std::move(key)) {}
  void forget();

  Outbox* outbox_ = nullptr;
  std::string key_;
  bool in_doubt_ = false;
};

}  // namespace outrigger::outbox
