// Indexes built beside everything else.
//
// The problem: mongod takes minutes to build an index over a large collection, and whoever applies
// what peers did must not wait for it. The idea: one thread with a connection of its own builds
// them one after the other; who wants one is told at once that it is being built, and asks again
// now and then, as for any document the store would not take. What failed is not built again before
// a while has passed, twice as long each time: it costs what it cost before.
//
// An index that is dropped meanwhile is not built any more. One that the site has relaxed is built
// for as long as it is that (relaxed_indexes.h); of others the catalogue says what is wanted.
//
// Whatever is under way is given up when this ends, and begins anew when it is asked for the next
// time.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/threads.h"
#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/relaxed_indexes.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

class IndexBuilds {
 public:
  // Both outlive it. Starts no thread before something is to be built.
  IndexBuilds(std::string uri, Threads& threads, RelaxedIndexes& relaxed)
      : uri_(std::move(uri)), threads_(threads), relaxed_(relaxed) {}
  ~IndexBuilds();
  IndexBuilds(const IndexBuilds&) = delete;
  IndexBuilds& operator=(const IndexBuilds&) = delete;

  // A createIndexes command of one index on `ns`, not awaited. What is to be said of it now:
  // rejected, as it is being built, or with mongod's own words when it could not be.
  [[nodiscard]] WriteOutcome build(const std::string& ns, const std::string& name,
                                   const std::string& command, bool is_relaxed) {
    return ask_for(ns, name, command, is_relaxed, nullptr);
  }
  // The same of another command, about one that the site has relaxed. `refusal` gets mongod's
  // whole reply where it was refused, once; when to try again is the caller's to say then.
  [[nodiscard]] WriteOutcome build_relaxed(const std::string& ns, const std::string& name,
                                           const std::string& command, std::string& refusal) {
    return ask_for(ns, name, command, true, &refusal);
  }
  // Of the collection no others are wanted now, but for relaxed ones: those are not begun, and one
  // that is under way is taken back once it is done.
  void keep_only(const std::string& ns,
                 const std::map<std::string, bson::OwnedValue, std::less<>>& wanted);
  // Names of the collection's that are in line, or under way.
  [[nodiscard]] std::vector<std::string> waiting_in(const std::string& ns);
  // This one has been dropped, and is not begun any more. False: it is under way.
  [[nodiscard]] bool give_up(const std::string& ns, const std::string& name);

 private:
  static constexpr auto kPauseMin = std::chrono::seconds(30);
  static constexpr auto kPauseMax = std::chrono::hours(1);
  static constexpr size_t kBuildsMax = 10'000;

  struct Build {
    std::string command;
    bool is_relaxed = false;
    bool is_wanted = true;
    bool is_over = false;
    WriteOutcome outcome;  // once it is
    std::string reply;     // likewise, where it is a refusal
    Threads::TimePoint not_before;
    std::chrono::seconds pause{0};
  };

  [[nodiscard]] WriteOutcome ask_for(const std::string& ns, const std::string& name,
                                     const std::string& command, bool is_relaxed,
                                     std::string* refusal);
  void run();
  // What is to be built next; nothing: this ends.
  [[nodiscard]] std::optional<std::string> next(std::string& command, bool& is_relaxed);
  [[nodiscard]] WriteOutcome build_relaxed_one(Client& client, const std::string& key,
                                               const std::string& command, std::string& refusal);
  void note_over(const std::string& key, const std::string& command, WriteOutcome outcome,
                 std::string reply);
  [[nodiscard]] WriteOutcome build_one(Client& client, const std::string& key,
                                       const std::string& command, std::string& refusal);
  [[nodiscard]] bool is_wanted(const std::string& key);
  void take_back(Client& client, const std::string& key);

  const std::string uri_;
  Threads& threads_;
  RelaxedIndexes& relaxed_;
  Mutex mutex_;
  Condition wake_{threads_};
  std::map<std::string, Build> builds_ GUARDED_BY(mutex_);  // by namespace and name of the index
  std::deque<std::string> waiting_ GUARDED_BY(mutex_);
  std::string session_id_ GUARDED_BY(mutex_);         // under which one is built
  std::optional<std::string> at_ GUARDED_BY(mutex_);  // what is being built
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<Threads::Thread> thread_;
};

}  // namespace outrigger::mongo
