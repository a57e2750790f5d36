// What the system tells a process: signals.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "proxy/net/loop.h"

namespace outrigger::net {

// A write to a socket whose other side is gone must be an error, not the end of the process.
// Call once at start of main.
void ignore_sigpipe();

// Calls back on the loop thread when the process gets one of the signals; their default action is
// off while this lives.
//   SignalWatch watch(loop, {SIGTERM, SIGINT}, [&](int) { loop.stop(); });
class SignalWatch {
 public:
  SignalWatch(Loop& loop, std::initializer_list<int> signals, std::function<void(int)> callback);
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();

 private:
  struct Handle;
  std::shared_ptr<std::function<void(int)>> callback_;
  std::vector<Handle*> handles_;  // each freed in its close callback
};

}  // namespace outrigger::net
