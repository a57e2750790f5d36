// One connection to another site: moves bytes between a stream and a link, records between the link
// and this site's memory.
//
// The problem: a peer may be slow, gone, hostile or far behind, and none of that may cost the app
// or the other peers anything. The idea: what a peer lacks is read from disk only when it has
// credit for it and the last bytes are with the kernel, so at most one batch a peer is in memory on
// the way out; what comes in and has no room in the inbox is held here and its credit withheld, so
// at most one window a peer is in memory on the way in, and reading goes on, so that heartbeats
// still count.
//
// Three activities share the connection: a reader, a writer and a ticker; the writer decides when
// it is over. All of it belongs to the loop's thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/net/loop.h"
#include "proxy/net/stream.h"
#include "proxy/net/task.h"
#include "proxy/peer/peer_exchange.h"
#include "replication/link/link.h"

namespace outrigger {

struct PeerTuning {
  uint64_t window_bytes = 8 * 1024 * 1024;
  size_t batch_bytes = 256 * 1024;  // read from the outbox at a time
  int64_t heartbeat_ms = 1000;
  int64_t silence_ms = 5000;
  int64_t handshake_ms = 10'000;
  int64_t report_delay_ms = 5;  // reports after progress are gathered for so long
  int64_t linger_ms = 1000;     // for the last words to get across
};

// Why a connection is over.
struct PeerEnd {
  bool was_open = false;
  int64_t open_ms = 0;   // how long it was
  bool by_peer = false;  // the other side ended it
  link::ByeCode code = link::ByeCode::kOther;
  bool refused = false;  // the hello was refused, by either side
  std::string text;      // for people
};

struct PeerCounters {
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint64_t records_in = 0;
  uint64_t records_out = 0;
  uint64_t held_bytes = 0;  // received, waiting for room in the inbox
  int64_t rtt_ms = -1;

  // Totals add up; what describes the present moment is taken from `later`.
  void add(const PeerCounters& later);
};

class Peer {
 public:
  // What a connection needs to know of its surroundings; the functions run on the loop thread.
  struct Setup {
    PeerTuning tuning;
    std::function<std::vector<std::string>()> policy_lines;
    std::string dialled_site;                                   // empty: accepted
    std::optional<std::vector<std::string>> certificate_names;  // of the other side, with TLS
    std::function<std::map<std::string, SiteId>()> known_sites;
    std::function<void(Peer&)> on_open;  // may close this peer or others
    std::function<void(Peer&)> on_tick;  // a few times a second
  };

  // `loop` and `exchange` outlive it.
  Peer(net::Loop& loop, PeerExchange& exchange, Setup setup, std::unique_ptr<net::Stream> stream);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Until the connection is over and all of its activities have ended. Once.
  net::Task<void> run();
  // This site has records to send, room in the inbox, or something to report.
  void progress();
  // Says goodbye and ends; run() returns soon after.
  void close(link::ByeCode code, const std::string& text);

  [[nodiscard]] bool is_open() const { return link_.established(); }
  [[nodiscard]] bool dialled() const { return !setup_.dialled_site.empty(); }
  // Whom we dialled, else who it says it is; empty before that is known.
  [[nodiscard]] const std::string& site() const;
  [[nodiscard]] const SiteHello& hello() const { return link_.peer(); }
  [[nodiscard]] const std::string& address() const { return stream_->peer_address(); }
  [[nodiscard]] PeerCounters counters() const;
  // Meaningful once run() has returned.
  [[nodiscard]] const PeerEnd& end() const { return end_; }

 private:
  net::Task<void> read_loop();
  net::Task<void> write_loop();
  net::Task<void> tick_loop();

  [[nodiscard]] link::LinkOptions link_options();
  [[nodiscard]] int64_t now_ms() const { return static_cast<int64_t>(loop_.now_us() / 1000); }
  void handle(std::vector<link::LinkEvent> events);
  void on(const link::Established& event);
  void on(link::Batch& event);
  void on(const link::ReportsHeard& event);
  void on(const link::Refused& event);
  void on(const link::Closed& event);
  void finish(std::string text, link::ByeCode code, bool by_peer);

  void take_held();
  void raise_by(const Report& report);
  void note_has(const std::vector<Segment>& segments);
  void read_outbox();
  void send_reports(bool all);
  void send_members();
  void report_soon();

  net::Loop& loop_;
  PeerExchange& exchange_;
  const Origin self_;  // this run of this site
  const Setup setup_;
  std::unique_ptr<net::Stream> stream_;
  link::Link link_;
  net::TaskGroup tasks_;
  net::Notify wake_;
  net::Timer ticker_;
  net::Timer report_timer_;

  VersionVector has_;   // records the peer has or is being sent on this connection
  VersionVector told_;  // likewise, promises
  std::vector<MemberId> told_members_;
  bool may_lack_ = false;   // the outbox may hold more for it
  bool relay_due_ = false;  // so may others' promises, which can wait for a heartbeat
  VersionVector reported_;  // our applied vector as last reported
  bool report_pending_ = false;
  std::map<SiteId, uint64_t> relayed_;  // serial of each site's report as last sent
  std::deque<link::Batch> held_;        // no room in the inbox yet, oldest first
  uint64_t held_bytes_ = 0;
  bool line_gone_ = false;  // the stream gives no more
  int64_t opened_ms_ = 0;
  int64_t ended_ms_ = -1;  // when the link ended
  PeerEnd end_;
  PeerCounters counters_;
};

}  // namespace outrigger
