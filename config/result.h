// Errors are values. Every operation that can fail for a reason outside this program returns
// Result<T>; the Error says which step failed, on which object, why, and what a person can do
// about it. Broken invariants of our own are OUTRIGGER_ASSERT, which stays on in release builds;
// bytes from outside (clients, peers, files, the store) never assert.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace outrigger {

enum class ErrorCode {
  kInvalidArgument,  // the caller, a file or a setting said something that cannot be
  kNotFound,
  kCorrupt,  // bytes that should be ours or legal are not
  kIo,       // the disk or the network failed
  kNoSpace,  // the disk or a configured quota is full
  kClosed,   // the other side or we ourselves closed
  kTimeout,
  kUnavailable,  // not now; try again
  kRefused,      // a rule says no; trying again will not help
  kUnsupported,  // legal, but not built
};

struct Error {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string step;    // what was being done: "open outbox"
  std::string object;  // to what: "/var/lib/outrigger/outbox"
  std::string reason;  // what happened: "lock held by another process"
  std::string hint;    // the way out: "stop the other outrigger, or give this one its own data_dir"

  // "open outbox /var/lib/...: lock held by another process (stop the other ...)"
  [[nodiscard]] std::string message() const {
    std::string text = step;
    if (!object.empty()) text += (text.empty() ? "" : " ") + object;
    if (!reason.empty()) text += (text.empty() ? "" : ": ") + reason;
    if (!hint.empty()) text += " (" + hint + ")";
    return text;
  }
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string step,
                                                std::string object, std::string reason,
                                                std::string hint = {}) {
  return tl::unexpected<Error>(
      Error{code, std::move(step), std::move(object), std::move(reason), std::move(hint)});
}

[[noreturn]] inline void assertion_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, condition);
  std::abort();
}

}  // namespace outrigger

#define OUTRIGGER_ASSERT(condition)   \
  ((condition) ? static_cast<void>(0) \
               : ::outrigger::assertion_failed(__FILE__, __LINE__, #condition))
