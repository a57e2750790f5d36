// Documents whose time has come are deleted by the sidecar, as an app would delete them.
//
// The problem: MongoDB's TTL monitor deletes behind everybody's back, at each site when it happens
// to wake up. Nobody records that, so what another site wrote meanwhile (a session was extended) is
// missing here for ever, and an upsert after it counts from nothing here and from six there.
//
// The idea: an expiry is a write like any other. Every few seconds the TTL indexes of the store are
// looked at and what is due is deleted, a batch at a time, through the capture (writes/capture.h):
// its locks, its prepare, its record. The filter names the date again, so whoever extends the
// document first wins here. The store's own monitor rests meanwhile (store_monitor.h). What it
// would have deleted in collections that do not travel (`config.system.sessions`, buckets of time
// series) is deleted directly. Each site goes by its own clock.
//
// A batch is small and followed by as much rest as it took, so that apps and links go on; what an
// app's transaction holds is left for later.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/metrics.h"
#include "config/settings.h"
#include "config/thread_annotations.h"
#include "proxy/expiry/expiry_status.h"
#include "proxy/expiry/member_monitors.h"
#include "proxy/expiry/own_connection.h"
#include "proxy/expiry/store_monitor.h"
#include "proxy/expiry/ttl_index.h"

namespace outrigger {

// Of the loop's thread, but for status().
class Expiry {
 public:
  struct Parts {
    ProxyContext& context;
    const ExpirySettings& settings;
    std::optional<StoreLogin> login;  // the sidecar's own user
    MonitorMark mark;
    // Grows when the catalogue may have changed.
    std::function<uint64_t()> catalogue_changes;
    Metrics& metrics;
  };
  // What is borrowed outlives it.
  explicit Expiry(Parts parts);
  Expiry(const Expiry&) = delete;
  Expiry& operator=(const Expiry&) = delete;

  // Once. Where the settings leave it to the store, its monitor is given back and that is all.
  void start();
  // Ends what is under way and lets the store's own monitor work again. After `timeout_ms` nobody
  // is waited for: then `hurry` is called, once, so that a write in doubt is left to recovery.
  net::Task<void> stop(int64_t timeout_ms, std::function<void()> hurry);
  // That run of mongod is gone.
  void store_gone(const std::string& process) { connection_.store_gone(process); }
  [[nodiscard]] ExpiryStatus status() const;  // any thread

 private:
  struct Due {
    TtlIndex index;
    bool travels = false;  // its collection replicates
  };
  enum class Step : uint8_t { kDone, kMore, kBroken };
  static constexpr size_t kBatchMax = 500;  // documents deleted by one command

  net::Task<void> run();
  net::Task<void> leave_to_store();
  // False: more is due.
  net::Task<bool> pass();
  [[nodiscard]] bool any_travels() const;
  net::Task<Status> look();
  net::Task<Status> learn_catalogue();
  net::Task<bool> expire_all();
  net::Task<Step> expire_some(const Due& due);
  net::Task<Result<StoreAnswer>> remove(const Due& due, std::string body);
  // Those that nobody holds.
  [[nodiscard]] std::vector<bson::OwnedValue> free_ids(const Due& due, const StoreAnswer& found,
                                                       size_t& shown) const;
  net::Task<void> wait();
  net::Task<void> rest(int64_t since_us);
  void count(const Due& due, int64_t deleted);
  // What this pass could not do, and why: in the status until one can, in the log when it is new.
  void complain(const std::string& about, const std::string& why);
  void note_state();

  ProxyContext& context_;
  const ExpirySettings& settings_;
  const std::function<uint64_t()> catalogue_changes_;
  Metrics& metrics_;
  OwnConnection connection_;
  StoreMonitor monitor_;
  MemberMonitors followers_;
  std::vector<Due> indexes_;
  size_t batch_ = kBatchMax;              // fewer where so many take too long
  std::optional<uint64_t> changes_seen_;  // when `indexes_` was asked for; none: not yet
  net::Timer timer_;
  net::Timer limit_;
  bool stopping_ = false;
  std::map<std::string, std::string> said_;  // by this pass, by what it is about
  net::TaskGroup tasks_;
  mutable Mutex mutex_;
  ExpiryStatus status_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> complaints_ GUARDED_BY(mutex_);  // of the last pass, at least
};

}  // namespace outrigger
