// Which run of mongod is served: the one whose documents hold all that this site has acknowledged.
//
// The problem: a mongod that is killed comes back without what its journal did not hold. Whoever
// talks to that new run before this has been put back (recovery/redo.h) would see it go back in
// time, and write on top of that. So whoever makes a connection asks first whose it is.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "config/thread_annotations.h"

namespace outrigger {

// Thread-safe. Processes are named as StoreServer::process_id() names them; of one that has no name
// nothing can be told, and it is taken for the one that is served.
class ServedProcess {
 public:
  // Called on the asking thread when it was another one. Set before other threads ask, and after
  // they have ended.
  void on_another(std::function<void()> tell) { tell_ = std::move(tell); }

  [[nodiscard]] bool admits(std::string_view process) const {
    if (is(process)) return true;
    if (tell_) tell_();
    return false;
  }
  [[nodiscard]] bool is(std::string_view process) const {
    const MutexLock lock(mutex_);
    return process.empty() || (!is_suspended_ && process == process_);
  }
  [[nodiscard]] std::string process() const {
    const MutexLock lock(mutex_);
    return process_;
  }
  void serve(std::string_view process) {
    const MutexLock lock(mutex_);
    process_ = process;
    is_suspended_ = false;
  }
  // What that run forgot, or another one lacks, is looked for in the log from here on: an answer of
  // it that is looked at later counts for nothing, though it may still be given (a primary that has
  // not heard yet that another was elected). Until the next serve().
  void suspend() {
    const MutexLock lock(mutex_);
    is_suspended_ = true;
  }

 private:
  std::function<void()> tell_;
  mutable Mutex mutex_;
  std::string process_ GUARDED_BY(mutex_);
  bool is_suspended_ GUARDED_BY(mutex_) = false;
};

}  // namespace outrigger
