// Indexes built beside everything else.
//
// The problem: mongod takes minutes to build an index over a large collection, and whoever applies
// what peers did must not wait for it. The idea: one thread with a connection of its own builds
// them one after the other; who wants one is told at once that it is being built, and asks again
// now and then, as for any document the store would not take. What failed is not built again before
// a while has passed, twice as long each time: it costs what it cost before.
//
// Whatever is under way is given up when this ends, and begins anew when it is asked for the next
// time.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "config/threads.h"
#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

class IndexBuilds {
 public:
  // `threads` outlives it. Starts no thread before something is to be built.
  IndexBuilds(std::string uri, Threads& threads) : uri_(std::move(uri)), threads_(threads) {}
  ~IndexBuilds();
  IndexBuilds(const IndexBuilds&) = delete;
  IndexBuilds& operator=(const IndexBuilds&) = delete;

  // A createIndexes command of one index on `ns`, not awaited. What is to be said of it now:
  // rejected, as it is being built, or with mongod's own words when it could not be.
  // Or another command about one index; `refusal` gets mongod's whole reply where it was refused.
  [[nodiscard]] WriteOutcome build(const std::string& ns, const std::string& name,
                                   const std::string& command, std::string* refusal = nullptr);
  // Of the collection no others are wanted now: those are not begun, and one that is under way is
  // taken back once it is done.
  void keep_only(const std::string& ns,
                 const std::map<std::string, bson::OwnedValue, std::less<>>& wanted);

 private:
  static constexpr auto kPauseMin = std::chrono::seconds(30);
  static constexpr auto kPauseMax = std::chrono::hours(1);
  static constexpr size_t kBuildsMax = 10'000;

  struct Build {
    std::string command;
    bool is_wanted = true;
    bool is_over = false;
    WriteOutcome outcome;  // once it is
    std::string reply;     // likewise, where it is a refusal
    Threads::TimePoint not_before;
    std::chrono::seconds pause{0};
  };

  void run();
  [[nodiscard]] WriteOutcome build_one(Client& client, const std::string& key,
                                       const std::string& command, std::string& refusal);
  [[nodiscard]] bool is_wanted(const std::string& key);
  void take_back(Client& client, const std::string& key);

  const std::string uri_;
  Threads& threads_;
  Mutex mutex_;
  Condition wake_{threads_};
  std::map<std::string, Build> builds_ GUARDED_BY(mutex_);  // by namespace and name of the index
  std::deque<std::string> waiting_ GUARDED_BY(mutex_);
  std::string session_id_ GUARDED_BY(mutex_);  // under which one is built
  bool is_building_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<Threads::Thread> thread_;
};

}  // namespace outrigger::mongo
