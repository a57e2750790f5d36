#include "proxy/peer/peer_manager.h"

#include <algorithm>
#include <utility>

#include "config/limits.h"
#include "proxy/net/address.h"

namespace outrigger {
namespace {

using link::ByeCode;

constexpr int64_t kDialTimeoutMs = 3000;
constexpr int64_t kTlsTimeoutMs = 5000;
// A link that lived for so long has proved the site reachable: the next dial may come soon.
constexpr int64_t kProvenMs = 1000;

std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

}  // namespace

struct PeerManager::Site {
  Site(net::Loop& loop, const PeerSite& settings)
      : name(settings.site),
        address(settings.address ? settings.address->text() : ""),
        free(loop),
        pause(loop) {}
  const std::string name;
  const std::string address;  // empty: never dialled
  Peer* open = nullptr;
  net::Notify free;   // no link is open any more, or we are stopping
  net::Timer pause;   // between two dials
  PeerCounters past;  // of links that are over
};

// Reaches the manager from any thread, for as long as there is one.
struct PeerManager::Waker {
  std::mutex mutex;
  net::Loop* loop = nullptr;  // null: the manager is gone
  PeerManager* manager = nullptr;
  bool posted = false;
};

PeerManager::PeerManager(net::Loop& loop, net::Network& network, PeerExchange& exchange,
                         const Clock& clock, Logger log, PeerManagerOptions options)
    : loop_(loop),
      network_(network),
      exchange_(exchange),
      log_(log),
      options_(std::move(options)),
      board_(options_.peers.sites, clock, log),
      waker_(std::make_shared<Waker>()),
      random_(options_.seed) {
  for (const PeerSite& settings : options_.peers.sites) {
    sites_.push_back(std::make_unique<Site>(loop_, settings));
  }
  waker_->loop = &loop_;
  waker_->manager = this;
  exchange_.on_progress([waker = waker_] {
    std::lock_guard lock(waker->mutex);
    if (waker->loop == nullptr || waker->posted) return;
    waker->posted = true;
    waker->loop->post([waker] {
      PeerManager* manager = nullptr;
      {
        std::lock_guard inner(waker->mutex);
        waker->posted = false;
        manager = waker->manager;
      }
      if (manager != nullptr) manager->progress();
    });
  });
}

PeerManager::~PeerManager() {
  std::lock_guard lock(waker_->mutex);
  waker_->loop = nullptr;
  waker_->manager = nullptr;
}

// ---- start and stop

Status PeerManager::start() {
  if (Status loaded = load_tls(); !loaded) return loaded;
  if (Status plain = check_plain(); !plain) return plain;
  if (Status listening = listen(); !listening) return listening;
  for (const std::unique_ptr<Site>& site : sites_) {
    if (!site->address.empty()) tasks_.spawn(keep_dialled(*site));
  }
  return {};
}

Status PeerManager::load_tls() {
  if (!options_.peers.tls) return {};
  net::TlsOptions files;
  files.certificate_file = options_.peers.tls->certificate;
  files.key_file = options_.peers.tls->key;
  files.ca_file = options_.peers.tls->ca;
  auto server = net::TlsContext::server(files);
  if (!server) return tl::unexpected(server.error());
  auto client = net::TlsContext::client(files);
  if (!client) return tl::unexpected(client.error());
  server_tls_ = *server;
  client_tls_ = *client;
  return {};
}

Status PeerManager::check_plain() const {
  if (options_.peers.tls) return {};
  std::vector<Endpoint> beyond;
  if (options_.peers.listen && !options_.peers.listen->is_loopback()) {
    beyond.push_back(*options_.peers.listen);
  }
  for (const PeerSite& site : options_.peers.sites) {
    if (site.address && !site.address->is_loopback()) beyond.push_back(*site.address);
  }
  if (options_.peers.insecure) {
    log_->warn(
        "peers.insecure is set: records travel between sites unencrypted, and whoever "
        "reaches the port can pose as a site");
    return {};
  }
  if (beyond.empty()) return {};
  return fail(ErrorCode::kRefused, "start links", beyond.front().text(),
              "it is not a loopback address and peers.tls is not set",
              "set peers.tls, or peers.insecure: true for a network you trust");
}

Status PeerManager::listen() {
  if (!options_.peers.listen) return {};
  auto listener = network_.listen(options_.peers.listen->text(),
                                  [this](std::unique_ptr<net::Stream> s) { accept(std::move(s)); });
  if (!listener) return tl::unexpected(listener.error());
  listener_ = std::move(*listener);
  log_->info("listening for peers on {}", listener_->address());
  return {};
}

net::Task<void> PeerManager::stop() {
  stopping_ = true;
  if (listener_) listener_->close();
  for (const std::unique_ptr<Site>& site : sites_) {
    site->pause.close();
    site->free.set();
  }
  for (Peer* peer : peers_) peer->close(ByeCode::kShutdown, options_.site + " is stopping");
  co_await tasks_.until_empty();
}

// ---- dialling and accepting

net::Task<void> PeerManager::keep_dialled(Site& site) {
  int64_t backoff_ms = options_.backoff_ms_min;
  while (!stopping_) {
    if (site.open != nullptr) {
      backoff_ms = options_.backoff_ms_min;
      co_await site.free.wait();
      if (!stopping_) co_await site.pause.sleep_ms(jittered(backoff_ms));
      continue;
    }
    bool proven = co_await dial_once(site);
    if (proven) backoff_ms = options_.backoff_ms_min;
    if (stopping_ || site.open != nullptr) continue;
    co_await site.pause.sleep_ms(jittered(backoff_ms));
    backoff_ms = std::min(backoff_ms * 2, options_.backoff_ms_max);
  }
}

// True when the link it made proved that the site can be reached.
net::Task<bool> PeerManager::dial_once(Site& site) {
  board_.dialling(site.name);
  Result<std::unique_ptr<net::Stream>> stream =
      co_await network_.connect(site.address, kDialTimeoutMs);
  std::optional<std::vector<std::string>> names;
  if (stream && !stopping_) {
    stream = co_await secure(std::move(*stream), site.name, names);
  }
  if (stopping_) co_return false;
  if (!stream) {
    if (site.open == nullptr)
      board_.failed(site.name, PeerState::kWaiting, stream.error().message());
    co_return false;
  }
  // The other side's link may have been opened meanwhile; then this one is not needed.
  if (site.open != nullptr) co_return true;
  PeerEnd end = co_await converse(std::move(*stream), site.name, std::move(names), nullptr);
  const bool proven = end.was_open && end.open_ms >= kProvenMs;
  co_return proven;
}

void PeerManager::accept(std::unique_ptr<net::Stream> stream) {
  if (stopping_) return stream->close();
  if (!server_tls_ && !options_.peers.insecure && !stream->is_loopback()) {
    board_.stranger(stream->peer_address() +
                    ": a plain connection from another machine, and peers.insecure is not set");
    stream->close();
    return;
  }
  make_place();
  tasks_.spawn(serve(std::move(stream)));
}

// Whoever comes is given a place, for it may be the site we wait for. Whose it was: the oldest of
// the host that has most, for a site makes one connection at a time and says its hello at once.
void PeerManager::make_place() {
  std::map<std::string, size_t> of_host;
  size_t places = 0;
  for (const Newcomer& newcomer : newcomers_) {
    if (newcomer.given_up) continue;
    ++of_host[newcomer.host];
    ++places;
  }
  if (places < sites_.size() + limits::kUnopenedPeersMax) return;
  const auto by_count = [](const auto& a, const auto& b) { return a.second < b.second; };
  const std::string& most = std::max_element(of_host.begin(), of_host.end(), by_count)->first;
  for (Newcomer& newcomer : newcomers_) {
    if (newcomer.given_up || newcomer.host != most) continue;
    newcomer.given_up = true;
    newcomer.stream->close();
    return;
  }
}

net::Task<void> PeerManager::serve(std::unique_ptr<net::Stream> stream) {
  std::string remote = stream->peer_address();
  const auto newcomer =
      newcomers_.insert(newcomers_.end(), Newcomer{stream.get(), host_of(remote), nullptr, false});
  std::optional<std::vector<std::string>> names;
  Result<std::unique_ptr<net::Stream>> secured =
      co_await secure(std::move(stream), std::string(), names);
  if (!secured) board_.stranger(remote + ": " + secured.error().message());
  if (!secured || stopping_) {
    newcomers_.erase(newcomer);
    co_return;
  }
  (void)co_await converse(std::move(*secured), std::string(), std::move(names), &*newcomer);
}

net::Task<Result<std::unique_ptr<net::Stream>>> PeerManager::secure(
    std::unique_ptr<net::Stream> stream, std::string dialled_site,
    std::optional<std::vector<std::string>>& certificate_names) {
  if (!server_tls_) co_return std::move(stream);
  const std::string expected_name = dialled_site;
  std::shared_ptr<net::TlsContext> context = dialled_site.empty() ? server_tls_ : client_tls_;
  Result<std::unique_ptr<net::TlsStream>> secured = co_await net::TlsStream::handshake(
      std::move(stream), std::move(context), std::move(dialled_site), kTlsTimeoutMs);
  if (!secured) {
    Error error = secured.error();
    if (!expected_name.empty()) {
      error.hint =
          "the certificate there must come from peers.tls.ca and name DNS:" + expected_name;
    }
    co_return tl::unexpected(std::move(error));
  }
  certificate_names = (*secured)->peer_sans();
  std::unique_ptr<net::Stream> base = std::move(*secured);
  co_return std::move(base);
}

net::Task<PeerEnd> PeerManager::converse(std::unique_ptr<net::Stream> stream,
                                         std::string dialled_site,
                                         std::optional<std::vector<std::string>> certificate_names,
                                         Newcomer* newcomer) {
  Peer::Setup with = setup(std::move(dialled_site), std::move(certificate_names));
  Peer peer(loop_, exchange_, std::move(with), std::move(stream));
  if (newcomer != nullptr) newcomer->peer = &peer;
  peers_.push_back(&peer);
  co_await peer.run();
  std::erase(peers_, &peer);
  ended(peer);
  co_return peer.end();
}

Peer::Setup PeerManager::setup(std::string dialled_site,
                               std::optional<std::vector<std::string>> certificate_names) {
  Peer::Setup with;
  with.tuning = options_.tuning;
  with.policy_lines = options_.policy_lines;
  with.dialled_site = std::move(dialled_site);
  with.certificate_names = std::move(certificate_names);
  with.known_sites = [this] { return known_sites_; };
  with.on_open = [this](Peer& peer) { opened(peer); };
  with.on_tick = [this](Peer& peer) {
    Site* site = find(peer.site());
    if (site != nullptr && site->open == &peer) refresh(*site);
  };
  return with;
}

// ---- one link a pair

PeerManager::Site* PeerManager::find(const std::string& name) {
  for (const std::unique_ptr<Site>& site : sites_) {
    if (site->name == name) return site.get();
  }
  return nullptr;
}

bool PeerManager::keeps(const Peer& standing, const Peer& fresh) const {
  if (standing.dialled() == fresh.dialled()) return false;
  bool ours_is_smaller = options_.site < standing.site();
  return standing.dialled() == ours_is_smaller;
}

void PeerManager::is_newcomer_no_more(const Peer& peer) {
  newcomers_.remove_if([&](const Newcomer& newcomer) { return newcomer.peer == &peer; });
}

void PeerManager::opened(Peer& peer) {
  is_newcomer_no_more(peer);
  Site* site = find(peer.site());
  // The hello checks let nobody else through, unless our own settings disagree with our own hello.
  if (site == nullptr) return peer.close(ByeCode::kOther, peer.site() + " is not listed");
  known_sites_[peer.site()] = peer.hello().site_id;
  if (stopping_) return peer.close(ByeCode::kShutdown, options_.site + " is stopping");
  if (site->open != nullptr) {
    bool keep = keeps(*site->open, peer);
    Peer& loser = keep ? peer : *site->open;
    loser.close(ByeCode::kDuplicate,
                "another link between " + options_.site + " and " + peer.site() + " stands");
    if (keep) return;
    // Its totals are added when it ends; until then only the new one's show.
  }
  site->open = &peer;
  site->pause.cancel();
  board_.opened(site->name, peer.dialled(), peer.address());
}

void PeerManager::ended(Peer& peer) {
  const PeerEnd& end = peer.end();
  is_newcomer_no_more(peer);
  Site* site = find(peer.site());
  if (site == nullptr) {
    return board_.stranger(peer.address() + (peer.site().empty() ? "" : " (" + peer.site() + ")") +
                           ": " + end.text);
  }
  site->past.add(peer.counters());
  site->past.held_bytes = 0;
  site->past.rtt_ms = -1;
  const bool was_the_one = site->open == &peer;
  if (was_the_one) site->open = nullptr;
  refresh(*site);
  if (site->open == nullptr) note_end(*site, end);
  if (was_the_one) site->free.set();
}

void PeerManager::note_end(Site& site, const PeerEnd& end) {
  // The link that made this one superfluous may still be saying hello at our end.
  if (end.code == ByeCode::kDuplicate || stopping_) return board_.waiting(site.name);
  std::string text = end.by_peer ? site.name + " says: " + end.text : end.text;
  board_.failed(site.name, end.refused ? PeerState::kRefused : PeerState::kWaiting, text);
}

void PeerManager::refresh(Site& site) {
  PeerCounters total = site.past;
  if (site.open != nullptr) total.add(site.open->counters());
  board_.counted(site.name, total);
}

int64_t PeerManager::jittered(int64_t ms) {
  return ms / 2 + static_cast<int64_t>(random_() % static_cast<uint64_t>(ms / 2 + 1));
}

void PeerManager::progress() {
  for (Peer* peer : peers_) {
    if (peer->is_open()) peer->progress();
  }
}

}  // namespace outrigger
