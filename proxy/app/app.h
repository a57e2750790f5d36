// The process of a sidecar: its settings, its files, its signals, its admin port, and the sidecar
// (sidecar.h) on them.
#pragma once

#include <memory>
#include <string>

#include "config/log.h"
#include "config/metrics.h"
#include "config/random.h"
#include "config/settings.h"
#include "config/thread_annotations.h"
#include "config/threads.h"
#include "proxy/admin/admin.h"
#include "proxy/admin/gauges.h"
#include "proxy/app/descriptors.h"
#include "proxy/app/end_limit.h"
#include "proxy/app/sidecar.h"
#include "proxy/net/uv/signals.h"
#include "proxy/net/uv/uv_network.h"
#include "replication/outbox/rocks/rocks_outbox.h"

namespace outrigger {

class App {
 public:
  App(Settings settings, Log& log);
  ~App();

  enum class Exit {
    kDrained,  // SIGTERM or SIGINT
    kFailed,   // it could not start; the log says why
    kRestart,  // the outbox had failed and is whole again: build a new App
  };
  // Opens, recovers, serves, drains. Once.
  [[nodiscard]] Exit run();

 private:
  [[nodiscard]] Status open();
  [[nodiscard]] Status open_outbox();
  [[nodiscard]] Status make_sidecar(StoreEndpoint endpoint);
  [[nodiscard]] std::unique_ptr<net::LoopThread> open_loop() const;
  net::Task<void> stop();
  void save_unsynced();
  void on_signal(int signal);
  void end_as(Exit exit);
  [[nodiscard]] AdminView admin_view();
  void warn_of_few_connections() const;

  const Settings settings_;
  Logger log_;
  SystemClock clock_;
  SystemRandom random_;
  SystemThreads threads_;
  EndLimit end_limit_;  // last to go: all that follow may wait for the store as they go
  Metrics metrics_;
  net::Loop loop_;
  net::UvNetwork network_{loop_};
  const uint32_t workers_;
  std::string socket_dir_;  // empty: the store is reached by TCP
  DescriptorPlan descriptors_;
  std::unique_ptr<outbox::RocksOutbox> outbox_;
  Logger store_log_;
  std::unique_ptr<Sidecar> sidecar_;
  std::unique_ptr<net::SignalWatch> signals_;
  Exit exit_ = Exit::kDrained;
  Mutex scrape_mutex_;
  std::unique_ptr<Gauges> gauges_ GUARDED_BY(scrape_mutex_);
  std::unique_ptr<Admin> admin_;  // first to go: its threads read all of the above
};

}  // namespace outrigger
