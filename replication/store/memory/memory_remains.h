// What a MemoryStore holds for recovery to find: an oplog that a test has filled, and operations
// that a process now gone left running.
//
// Thread-safe, with a lock of its own.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "config/thread_annotations.h"
#include "replication/store/store.h"

namespace outrigger {

class MemoryRemains {
 public:
  void add_oplog(OplogWrite write);         // last_oplog_time() is the newest one's
  void cut_oplog(Timestamp oldest);         // nothing before it is held any more
  void drop_oplog_after(Timestamp newest);  // as a crash does with what was not journaled
  // An operation left running; fence() removes it when it matches, unless it is stubborn.
  void add_running(const std::string& lsid_id, const std::string& client, bool stubborn = false);
  [[nodiscard]] size_t running() const;

 protected:
  // As the port has them (store.h), of a replica set.
  [[nodiscard]] Status end_running(std::span<const std::string> lsid_ids);
  [[nodiscard]] Timestamp newest() const;
  [[nodiscard]] Result<std::vector<OplogWrite>> written_since(
      Timestamp since, std::span<const std::string> lsid_ids) const;

 private:
  struct Running {
    std::string lsid_id;
    std::string client;
    bool stubborn = false;
  };

  mutable Mutex mutex_;
  std::vector<OplogWrite> oplog_ GUARDED_BY(mutex_);
  Timestamp oldest_oplog_ GUARDED_BY(mutex_);
  std::vector<Running> running_ GUARDED_BY(mutex_);
};

}  // namespace outrigger
