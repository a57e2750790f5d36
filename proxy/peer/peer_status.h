// What /status, the metrics and the log tell of the links: kept by the loop thread, read by any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/log.h"
#include "config/settings.h"
#include "proxy/peer/peer.h"

namespace outrigger {

enum class PeerState {
  kWaiting,     // no link; the next dial, or the other side's, will come
  kConnecting,  // dialling or saying hello
  kOpen,
  kRefused,  // the last hello was refused, by either side; tried again all the same
};

[[nodiscard]] const char* to_text(PeerState state);

struct PeerStatus {
  std::string site;
  std::string address;  // dialled address; empty when it must dial us
  PeerState state = PeerState::kWaiting;
  int64_t since_ms = 0;       // wall clock, when the state began
  bool dialled = false;       // the open link was dialled by us
  std::string remote;         // the other end of the open link
  PeerCounters counters;      // summed over all links of this run; rtt of the present one
  uint64_t dials = 0;         // attempts
  uint64_t links = 0;         // times a link was opened
  std::string last_error;     // for people; empty when there was none
  int64_t last_error_ms = 0;  // wall clock
};

// Thread-safe. Sites are those of the settings; another name is an invariant broken.
class PeerStatusBoard {
 public:
  // `clock` outlives it.
  PeerStatusBoard(const std::vector<PeerSite>& sites, const Clock& clock, Logger log);

  void dialling(const std::string& site);
  void opened(const std::string& site, bool dialled, const std::string& remote);
  void counted(const std::string& site, const PeerCounters& total);
  // No link, for this reason. Logged when it is news.
  void failed(const std::string& site, PeerState state, const std::string& text);
  void waiting(const std::string& site);
  // A connection that never became a site's.
  void stranger(const std::string& text);

  [[nodiscard]] std::vector<PeerStatus> all() const;  // in the order of the settings
  [[nodiscard]] std::string last_stranger() const;

 private:
  PeerStatus& at(const std::string& site);  // of a site without a place: one that nobody sees
  void set_state(PeerStatus& status, PeerState state);

  const Clock& clock_;
  Logger log_;
  mutable std::mutex mutex_;
  std::vector<PeerStatus> sites_;              // under mutex_
  PeerStatus nobody_;                          // under mutex_
  std::string last_stranger_;                  // under mutex_
  std::optional<int64_t> stranger_logged_us_;  // under mutex_
};

}  // namespace outrigger
