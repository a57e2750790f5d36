// A small world for the tests of peer and peer_manager: sites with a memory made of vectors, joined
// by memory streams that can be cut, corked and cut for good.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proxy/net/memory/memory_stream.h"
#include "proxy/peer/peer_manager.h"
#include "replication/link/link_testing.h"

namespace outrigger::testing {

// A site's memory: logs of all origins, applied as they come. Loop thread only.
class FakeExchange final : public PeerExchange {
 public:
  FakeExchange(const std::string& name, uint8_t id, std::vector<std::string> members) {
    self.site = name;
    self.site_id = link::testing::site_id(id);
    self.epoch = 7;
    self.policy_hash = "abc";
    self.members = std::move(members);
    std::sort(self.members.begin(), self.members.end());
  }

  void write(const std::string& text) {
    Origin origin{self.site_id, self.epoch};
    logs_[origin].push_back(link::testing::record_of(origin, ++last_, text));
    vector_.raise(origin, last_);
    tell();
  }
  // It came some other way.
  void knows(const VersionVector& vector) { vector_.raise(vector); }
  // The inbox takes nothing (more) until it is opened again.
  void set_full(bool is_full) {
    full_ = is_full;
    tell();
  }
  [[nodiscard]] size_t records() const {
    size_t count = 0;
    for (const auto& [origin, log] : logs_) count += log.size();
    return count;
  }

  SiteHello hello() override {
    SiteHello hello = self;
    hello.applied = hello_applied.value_or(vector_);
    return hello;
  }
  std::vector<Report> reports() override {
    Report own;
    own.site = self.site_id;
    own.epoch = self.epoch;
    own.serial = ++serial_;
    own.vector = vector_;
    std::vector<Report> all = {own};
    for (const auto& [site, report] : heard) all.push_back(report);
    return all;
  }
  VersionVector applied() override { return vector_; }

  Result<OutgoingBatch> read_batch(const VersionVector& has, size_t bytes_max,
                                   const VersionVector& told, bool) override {
    ++reads;
    told_last = told;
    if (read_error) return tl::unexpected(*read_error);
    OutgoingBatch batch;
    std::vector<Segment> segments;
    size_t bytes = 0;
    for (const auto& [origin, log] : logs_) {
      if (has.get(origin) < floor.get(origin)) {
        return fail(ErrorCode::kRefused, "read outbox", "", "records no longer held");
      }
      Segment segment;
      segment.origin = origin;
      segment.after = segment.through = has.get(origin);
      for (const Record& record : log) {
        if (record.hlc <= segment.through || bytes >= bytes_max) continue;
        bytes += 100 + record.documents[0].effects[0].value.bytes.size();
        segment.through = record.hlc;
        segment.records.push_back(record);
      }
      if (segment.records.empty()) continue;
      batch.records += segment.records.size();
      batch.records_through.raise(origin, segment.through);
      batch.told_through.raise(origin, segment.through);
      segments.push_back(std::move(segment));
    }
    if (hearsay) segments.push_back(*std::exchange(hearsay, std::nullopt));
    if (!segments.empty()) batch.bytes = encode_segments(segments);
    return batch;
  }

  Status offer(std::vector<Segment>& segments, const Origin&) override {
    ++offers;
    if (offer_error) return tl::unexpected(*offer_error);
    if (full_) return fail(ErrorCode::kUnavailable, "offer", "", "the inbox is full");
    for (Segment& segment : segments) {
      if (segment.after > vector_.get(segment.origin)) {
        return fail(ErrorCode::kRefused, "take segment", "", "there is a gap before it");
      }
      for (Record& record : segment.records) take(std::move(record));
      vector_.raise(segment.origin, segment.through);
    }
    segments.clear();
    tell();
    return {};
  }
  void hear(const Report& report, const Origin&) override {
    if (report.site == self.site_id) ++own_reports_heard;
    Report& known = heard[report.site];
    if (known.serial >= report.serial) return;
    known = report;
    tell();
  }
  void introduce(const SiteHello& peer) override { introduced.insert(peer.site); }
  std::vector<MemberId> members() override { return known_members; }
  void hear_members(const std::vector<MemberId>& members) override { members_heard = members; }
  void parted(const SiteHello& peer) override { parted_from.insert(peer.site); }
  void on_progress(std::function<void()> wake) override { wake_ = std::move(wake); }

  SiteHello self;
  std::optional<VersionVector> hello_applied;  // instead of what is true
  VersionVector floor;                         // what is no longer held
  std::optional<Segment> hearsay;              // sent with the next batch
  VersionVector told_last;                     // of the last read_batch()
  std::optional<Error> read_error;
  std::optional<Error> offer_error;
  std::map<SiteId, Report> heard;
  std::set<std::string> introduced;
  std::set<std::string> parted_from;
  std::vector<MemberId> known_members;
  std::vector<MemberId> members_heard;
  size_t own_reports_heard = 0;
  size_t duplicates = 0;
  size_t offers = 0;
  size_t reads = 0;

 private:
  void take(Record record) {
    if (vector_.covers(record.dot())) {
      ++duplicates;
      return;
    }
    vector_.raise(record.origin, record.hlc);
    logs_[record.origin].push_back(std::move(record));
  }
  void tell() {
    if (wake_) wake_();
  }

  std::map<Origin, std::vector<Record>> logs_;
  VersionVector vector_;
  Hlc last_ = 0;
  uint64_t serial_ = 0;
  bool full_ = false;
  std::function<void()> wake_;
};

class PeerWorld;

// Dials by the port of the address, over memory; nobody listens, the other site is just handed the
// connection.
class FakeNetwork final : public net::Network {
 public:
  FakeNetwork(PeerWorld& world, std::string from) : world_(world), from_(std::move(from)) {}
  net::Task<Result<std::unique_ptr<net::Stream>>> connect(std::string address,
                                                          int64_t timeout_ms) override;
  Result<std::unique_ptr<net::Listener>> listen_for_arrivals(
      const std::string& address, net::Listener::ArrivalHandler handler) override {
    static_cast<void>(handler);
    return fail(ErrorCode::kUnsupported, "listen on", address, "sites are found by their port");
  }
  [[nodiscard]] net::Loop& loop() const override;

 private:
  PeerWorld& world_;
  const std::string from_;
};

struct FakeSite {
  std::unique_ptr<FakeExchange> exchange;
  std::unique_ptr<FakeNetwork> network;
  std::unique_ptr<PeerManager> manager;
  PeerManagerOptions options;
};

// Sites by name; site i "listens" on port i.
class PeerWorld {
 public:
  explicit PeerWorld(std::vector<std::string> names) : names_(std::move(names)) {
    for (size_t i = 0; i < names_.size(); ++i) {
      FakeSite& site = sites[names_[i]];
      site.exchange =
          std::make_unique<FakeExchange>(names_[i], static_cast<uint8_t>(i + 1), names_);
      site.network = std::make_unique<FakeNetwork>(*this, names_[i]);
      site.options = default_options(names_[i]);
    }
  }
  ~PeerWorld() {
    for (auto& [name, site] : sites) stop(name);
  }
  PeerWorld(const PeerWorld&) = delete;
  PeerWorld& operator=(const PeerWorld&) = delete;

  FakeExchange& at(const std::string& name) { return *sites.at(name).exchange; }
  PeerManager& manager(const std::string& name) { return *sites.at(name).manager; }
  PeerManagerOptions& options(const std::string& name) { return sites.at(name).options; }

  // `from` does not dial `to`.
  void no_address(const std::string& from, const std::string& to) {
    for (PeerSite& peer : options(from).peers.sites) {
      if (peer.site == to) peer.address.reset();
    }
  }
  // A manager that takes connections; it dials once it is started.
  void make(const std::string& name) {
    FakeSite& site = sites.at(name);
    site.manager = std::make_unique<PeerManager>(loop, *site.network, *site.exchange, clock,
                                                 null_logger(), site.options);
  }
  void start(const std::string& name) {
    if (!sites.at(name).manager) make(name);
    Status started = manager(name).start();
    ASSERT_TRUE(started.has_value()) << started.error().message();
  }
  // All dial in the same moment.
  void start_all() {
    for (const std::string& name : names_) make(name);
    for (const std::string& name : names_) start(name);
  }
  void stop(const std::string& name) {
    FakeSite& site = sites.at(name);
    if (!site.manager) return;
    loop.block_on(site.manager->stop());
    site.manager.reset();
  }

  // The line between two sites: connections fail, and so do new ones, until healed.
  void cut(const std::string& a, const std::string& b) {
    cuts_.insert(pair(a, b));
    for (net::MemoryWire& wire : wires[pair(a, b)]) wire.cut();
  }
  void heal(const std::string& a, const std::string& b) { cuts_.erase(pair(a, b)); }
  [[nodiscard]] bool is_cut(const std::string& a, const std::string& b) const {
    return cuts_.count(pair(a, b)) != 0;
  }
  // Bytes vanish in both directions, and nobody is told: present connections only.
  void stall(const std::string& a, const std::string& b) {
    for (net::MemoryWire& wire : wires[pair(a, b)]) {
      wire.cork(net::MemoryWire::Way::kFirstToSecond);
      wire.cork(net::MemoryWire::Way::kSecondToFirst);
    }
  }

  PeerStatus status(const std::string& of, const std::string& peer) {
    for (const PeerStatus& status : manager(of).status()) {
      if (status.site == peer) return status;
    }
    ADD_FAILURE() << of << " does not list " << peer;
    return {};
  }
  bool is_open(const std::string& a, const std::string& b) {
    return status(a, b).state == PeerState::kOpen && status(b, a).state == PeerState::kOpen;
  }

  // Runs the loop until the condition holds.
  template <typename Condition>
  [[nodiscard]] bool comes_true(Condition condition) {
    const uint64_t deadline_us = loop.now_us() + 20'000'000;
    while (!condition()) {
      if (loop.now_us() > deadline_us) return false;
      loop.block_on(one_step());
    }
    return true;
  }
  // Runs the loop for a while; only to show that something does not happen.
  void let_pass(int64_t ms) {
    const uint64_t end_us = loop.now_us() + static_cast<uint64_t>(ms) * 1000;
    while (loop.now_us() < end_us) loop.block_on(one_step());
  }

  const std::string& name_of_port(const std::string& address) const {
    return names_.at(std::stoul(address.substr(address.rfind(':') + 1)) - 1);
  }
  static std::pair<std::string, std::string> pair(const std::string& a, const std::string& b) {
    return std::minmax(a, b);
  }

  net::Loop loop;
  ManualClock clock;
  std::map<std::string, FakeSite> sites;
  std::map<std::pair<std::string, std::string>, std::vector<net::MemoryWire>> wires;
  size_t wire_bytes = 64 * 1024;

 private:
  net::Task<void> one_step() {
    net::Timer timer(loop);
    (void)co_await timer.sleep_ms(1);
  }

  [[nodiscard]] PeerManagerOptions default_options(const std::string& name) const {
    PeerManagerOptions options;
    options.site = name;
    options.seed = 1;
    options.backoff_ms_min = 2;
    options.backoff_ms_max = 50;
    options.tuning.heartbeat_ms = 40;
    options.tuning.silence_ms = 400;
    options.tuning.linger_ms = 100;
    for (size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) continue;
      Endpoint address{"127.0.0.1", static_cast<uint16_t>(i + 1)};
      options.peers.sites.push_back({names_[i], address});
    }
    return options;
  }

  const std::vector<std::string> names_;
  std::set<std::pair<std::string, std::string>> cuts_;
};

inline net::Loop& FakeNetwork::loop() const { return world_.loop; }

inline net::Task<Result<std::unique_ptr<net::Stream>>> FakeNetwork::connect(std::string address,
                                                                            int64_t) {
  const std::string to = world_.name_of_port(address);
  PeerManager* manager = world_.sites.at(to).manager.get();
  if (world_.is_cut(from_, to) || manager == nullptr) {
    co_return fail(ErrorCode::kUnavailable, "connect to", address, "no route");
  }
  net::MemoryPair pair = net::make_memory_pair(world_.loop, world_.wire_bytes);
  world_.wires[PeerWorld::pair(from_, to)].push_back(pair.wire);
  manager->accept(std::move(pair.second));
  co_return std::move(pair.first);
}

}  // namespace outrigger::testing
