// Keeps one link to every other site: dials, listens, and decides which of two links stays.
//
// Both ends may dial at the same moment, or only one of them can. Of two links between a pair, both
// ends keep the one dialled by the site with the smaller name and say goodbye on the other; of two
// dialled by the same end, the newer (the older is one whose line broke unnoticed). While a link is
// open nothing is dialled. A failed dial is tried again after a back-off that doubles up to a
// bound, with jitter, so that sites cut off together do not all return at once.
//
// Plain TCP is only for loopback, unless `insecure` is set. With certificates every connection is
// TLS 1.3 with both sides verified, and the certificate must name the site that the hello claims.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/log.h"
#include "config/result.h"
#include "config/settings.h"
#include "proxy/net/loop.h"
#include "proxy/net/network.h"
#include "proxy/net/task.h"
#include "proxy/net/tls.h"
#include "proxy/peer/peer.h"
#include "proxy/peer/peer_exchange.h"
#include "proxy/peer/peer_status.h"

namespace outrigger {

struct PeerManagerOptions {
  std::string site;  // ours
  PeersSettings peers;
  std::function<std::vector<std::string>()> policy_lines;
  PeerTuning tuning;
  int64_t backoff_ms_min = 100;
  int64_t backoff_ms_max = 10'000;
  uint64_t seed = 0;  // of the jitter; sites cut off together must not share one
};

class PeerManager {
 public:
  // All of these outlive the manager; `exchange` may go on calling its progress callback
  // afterwards.
  PeerManager(net::Loop& loop, net::Network& network, PeerExchange& exchange, const Clock& clock,
              Logger log, PeerManagerOptions options);
  PeerManager(const PeerManager&) = delete;
  PeerManager& operator=(const PeerManager&) = delete;
  // Must have been stopped if it was started.
  ~PeerManager();

  // Listens and begins to dial. Errors: an address in use, a certificate that cannot be read, plain
  // TCP beyond loopback without `insecure`. Loop thread, as everything below but status().
  [[nodiscard]] Status start();
  // Says goodbye on all links and waits until everything has ended; a dial under way may take up to
  // its time-out (3 s).
  [[nodiscard]] net::Task<void> stop();
  // A connection somebody made to us.
  void accept(std::unique_ptr<net::Stream> stream);

  [[nodiscard]] uint16_t port() const { return listener_ ? listener_->port() : 0; }
  // Any thread. In the order of the settings.
  [[nodiscard]] std::vector<PeerStatus> status() const { return board_.all(); }
  // What was wrong with the last connection from a site that is not listed or never said its name.
  // Any thread.
  [[nodiscard]] std::string last_stranger() const { return board_.last_stranger(); }

 private:
  struct Site;
  struct Waker;
  // An accepted connection that has not finished its hello. Anybody can
  // make one, so their number is bounded (make_place).
  struct Newcomer {
    net::Stream* stream;  // below TLS; lives as long as the entry
    std::string host;
    Peer* peer = nullptr;   // once TLS is done
    bool given_up = false;  // closed, its task is about to end
  };

  [[nodiscard]] Status load_tls();
  [[nodiscard]] Status check_plain() const;
  [[nodiscard]] Status listen();
  net::Task<void> keep_dialled(Site& site);
  net::Task<bool> dial_once(Site& site);
  net::Task<void> serve(std::unique_ptr<net::Stream> stream);
  net::Task<Result<std::unique_ptr<net::Stream>>> secure(
      std::unique_ptr<net::Stream> stream, std::string dialled_site,
      std::optional<std::vector<std::string>>& certificate_names);
  net::Task<PeerEnd> converse(std::unique_ptr<net::Stream> stream, std::string dialled_site,
                              std::optional<std::vector<std::string>> certificate_names,
                              Newcomer* newcomer);

  [[nodiscard]] Peer::Setup setup(std::string dialled_site,
                                  std::optional<std::vector<std::string>> certificate_names);
  [[nodiscard]] Site* find(const std::string& name);
  [[nodiscard]] bool keeps(const Peer& standing, const Peer& fresh) const;
  void make_place();
  void is_newcomer_no_more(const Peer& peer);
  void opened(Peer& peer);
  void ended(Peer& peer);
  void note_end(Site& site, const PeerEnd& end);
  void refresh(Site& site);
  [[nodiscard]] int64_t jittered(int64_t ms);
  void progress();

  net::Loop& loop_;
  net::Network& network_;
  PeerExchange& exchange_;
  Logger log_;
  const PeerManagerOptions options_;
  PeerStatusBoard board_;

  std::vector<std::unique_ptr<Site>> sites_;
  std::map<std::string, SiteId> known_sites_;  // met in this run
  std::vector<Peer*> peers_;                   // alive, open or not; oldest first
  std::list<Newcomer> newcomers_;              // oldest first
  std::shared_ptr<net::TlsContext> server_tls_;
  std::shared_ptr<net::TlsContext> client_tls_;
  std::unique_ptr<net::Listener> listener_;
  net::TaskGroup tasks_;
  std::shared_ptr<Waker> waker_;
  std::mt19937_64 random_;
  bool stopping_ = false;
};

}  // namespace outrigger
