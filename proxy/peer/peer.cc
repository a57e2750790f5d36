#include "proxy/peer/peer.h"

#include <algorithm>
#include <utility>

namespace outrigger {
namespace {

using link::ByeCode;

// More than this waiting for the kernel: reading further from the outbox would only pile up.
constexpr size_t kOutputBytesMax = 512 * 1024;

// Lets the rest of the loop run between two batches of a long catch-up.
class Yield {
 public:
  explicit Yield(net::Loop& loop) : loop_(loop) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) { loop_.resume_soon(waiting); }
  void await_resume() const noexcept {}

 private:
  net::Loop& loop_;
};

size_t count_records(const std::vector<Segment>& segments) {
  size_t records = 0;
  for (const Segment& segment : segments) records += segment.records.size();
  return records;
}

}  // namespace

void PeerCounters::add(const PeerCounters& later) {
  bytes_in += later.bytes_in;
  bytes_out += later.bytes_out;
  records_in += later.records_in;
  records_out += later.records_out;
  held_bytes = later.held_bytes;
  rtt_ms = later.rtt_ms;
}

Peer::Peer(net::Loop& loop, PeerExchange& exchange, Setup setup,
           std::unique_ptr<net::Stream> stream)
    : loop_(loop),
      exchange_(exchange),
      self_(exchange.hello().run()),
      setup_(std::move(setup)),
      stream_(std::move(stream)),
      link_(link_options(), now_ms()),
      wake_(loop),
      ticker_(loop),
      report_timer_(loop) {}

link::LinkOptions Peer::link_options() {
  link::LinkOptions options;
  options.dialled = dialled();
  options.window_bytes = setup_.tuning.window_bytes;
  options.heartbeat_ms = setup_.tuning.heartbeat_ms;
  options.silence_ms = setup_.tuning.silence_ms;
  options.handshake_ms = setup_.tuning.handshake_ms;
  options.hello = [this] {
    link::Hello hello;
    hello.site = exchange_.hello();
    if (setup_.policy_lines) hello.policy_lines = setup_.policy_lines();
    return hello;
  };
  options.expect = [this](const SiteHello&) {
    link::Expectation expected;
    expected.dialled_site = setup_.dialled_site;
    expected.certificate_names = setup_.certificate_names;
    if (setup_.known_sites) expected.known_sites = setup_.known_sites();
    return expected;
  };
  return options;
}

const std::string& Peer::site() const {
  return dialled() ? setup_.dialled_site : link_.peer().site;
}

PeerCounters Peer::counters() const {
  PeerCounters counters = counters_;
  counters.held_bytes = held_bytes_;
  counters.rtt_ms = link_.rtt_ms();
  return counters;
}

// ---- the three activities

net::Task<void> Peer::run() {
  tasks_.spawn(read_loop());
  tasks_.spawn(tick_loop());
  co_await write_loop();
  // Half-closed, the other side can still read our last words; the ticker bounds the wait.
  if (!line_gone_) (void)co_await stream_->shutdown();
  co_await tasks_.until_empty();
  stream_->close();
  if (!end_.was_open) co_return;
  exchange_.parted(hello());
  end_.open_ms = now_ms() - opened_ms_;
}

net::Task<void> Peer::read_loop() {
  for (;;) {
    Result<std::string_view> bytes = co_await stream_->read_some();
    if (!bytes || bytes->empty()) {
      finish(bytes ? "the other side closed the connection without a goodbye"
                   : bytes.error().message(),
             ByeCode::kOther, false);
      break;
    }
    counters_.bytes_in += bytes->size();
    handle(link_.receive(*bytes, now_ms()));
    wake_.set();
  }
  line_gone_ = true;
  stream_->close();
  ticker_.close();
  wake_.set();
}

net::Task<void> Peer::write_loop() {
  while (!line_gone_) {
    read_outbox();
    if (link_.has_output()) {
      std::string bytes = link_.take_output();
      Status sent = co_await stream_->write(bytes);
      if (!sent) {
        finish(sent.error().message(), ByeCode::kOther, false);
        stream_->close();
        break;
      }
      counters_.bytes_out += bytes.size();
      co_await Yield(loop_);
      continue;
    }
    if (link_.ended()) break;
    co_await wake_.wait();
  }
}

net::Task<void> Peer::tick_loop() {
  const int64_t step_ms = std::max<int64_t>(setup_.tuning.heartbeat_ms / 4, 1);
  while (!line_gone_) {
    if (!co_await ticker_.sleep_ms(step_ms)) break;
    handle(link_.tick(now_ms()));
    if (link_.ended() && now_ms() - ended_ms_ >= setup_.tuning.linger_ms) stream_->close();
    take_held();
    if (setup_.on_tick) setup_.on_tick(*this);
    wake_.set();
  }
}

// ---- what the link says

void Peer::handle(std::vector<link::LinkEvent> events) {
  for (link::LinkEvent& event : events) {
    if (auto* open = std::get_if<link::Established>(&event)) on(*open);
    if (auto* batch = std::get_if<link::Batch>(&event)) on(*batch);
    if (auto* heard = std::get_if<link::ReportsHeard>(&event)) on(*heard);
    if (auto* members = std::get_if<link::MembersHeard>(&event)) {
      exchange_.hear_members(members->members);
    }
    if (auto* refused = std::get_if<link::Refused>(&event)) on(*refused);
    if (auto* closed = std::get_if<link::Closed>(&event)) on(*closed);
    if (std::holds_alternative<link::HeartbeatDue>(event)) {
      send_reports(true);
      may_lack_ = relay_due_ = true;
    }
  }
}

void Peer::on(const link::Established& event) {
  end_.was_open = true;
  opened_ms_ = now_ms();
  has_ = event.peer.applied;
  may_lack_ = true;
  exchange_.introduce(event.peer);
  if (setup_.on_open) setup_.on_open(*this);
  send_members();
  send_reports(true);
}

void Peer::on(link::Batch& event) {
  counters_.records_in += count_records(event.segments);
  note_has(event.segments);  // it has what it sends: nothing of this needs to go back
  held_bytes_ += event.bytes;
  held_.push_back(std::move(event));
  take_held();
}

void Peer::note_has(const std::vector<Segment>& segments) {
  for (const Segment& segment : segments) {
    if (!segment.records.empty()) has_.raise(segment.origin, segment.records.back().hlc);
    // A promise of ours counts only from us, whoever has relayed it.
    if (segment.origin != self_) told_.raise(segment.origin, segment.through);
  }
}

void Peer::on(const link::ReportsHeard& event) {
  for (const Report& report : event.reports) {
    raise_by(report);
    exchange_.hear(report, hello().run());
  }
}

// Within one run of the other process what it has applied only grows; a report of an earlier run
// may name what a restored image no longer has.
void Peer::raise_by(const Report& report) {
  if (report.site == hello().site_id && report.epoch == hello().epoch) has_.raise(report.vector);
}

void Peer::on(const link::Refused& event) {
  end_.refused = true;
  finish(event.text, ByeCode::kOther, event.by_peer);
}

void Peer::on(const link::Closed& event) {
  finish(event.text, event.code, event.by_peer);
  // Nobody is there to read last words.
  if (event.code == ByeCode::kSilent && !event.by_peer) stream_->close();
}

void Peer::finish(std::string text, ByeCode code, bool by_peer) {
  if (ended_ms_ >= 0) return;  // the first reason counts
  ended_ms_ = now_ms();
  end_.text = std::move(text);
  end_.code = code;
  end_.by_peer = by_peer;
}

void Peer::close(ByeCode code, const std::string& text) {
  if (link_.ended() || line_gone_) return;
  finish(text, code, false);
  link_.close(code, text);
  wake_.set();
}

// ---- records and reports

void Peer::progress() {
  take_held();
  VersionVector applied = exchange_.applied();
  if (!has_.includes(applied)) may_lack_ = true;
  if (!reported_.includes(applied)) report_soon();
  wake_.set();
}

void Peer::take_held() {
  while (!held_.empty() && !link_.ended()) {
    Status taken = exchange_.offer(held_.front().segments, hello().run());
    if (!taken && taken.error().code == ErrorCode::kUnavailable) return;
    if (!taken) return close(ByeCode::kRefusedData, taken.error().message());
    size_t bytes = held_.front().bytes;
    held_.pop_front();
    held_bytes_ -= bytes;
    link_.grant(bytes);
  }
}

void Peer::read_outbox() {
  const size_t bytes = setup_.tuning.batch_bytes;
  if (!may_lack_ || !link_.can_send(bytes) || link_.output_bytes() > kOutputBytesMax) return;
  Result<OutgoingBatch> batch = exchange_.read_batch(has_, bytes, told_, relay_due_);
  if (!batch && batch.error().code == ErrorCode::kRefused) {
    // Its report may have come by another link, and let go what this one still meant to send.
    for (const Report& report : exchange_.reports()) raise_by(report);
    batch = exchange_.read_batch(has_, bytes, told_, relay_due_);
  }
  if (!batch) return close(ByeCode::kOther, batch.error().message());
  // An empty stretch says "nothing up to here", which is true anew at any moment: one is enough
  // until something happens.
  if (batch->records == 0) relay_due_ = false;
  if (batch->records == 0 && !batch->more) may_lack_ = false;
  if (batch->bytes.empty()) return;
  has_.raise(batch->records_through);
  told_.raise(batch->told_through);
  send_members();
  counters_.records_out += batch->records;
  Status sent = link_.send_batch(std::move(batch->bytes));
  if (!sent) close(ByeCode::kOther, sent.error().message());
}

void Peer::report_soon() {
  if (report_pending_ || !link_.established()) return;
  report_pending_ = true;
  report_timer_.start(setup_.tuning.report_delay_ms, [this] {
    report_pending_ = false;
    send_reports(false);
    wake_.set();
  });
}

// Before anything that such a site has said or written: nobody takes that of a stranger.
void Peer::send_members() {
  std::vector<MemberId> members = exchange_.members();
  if (!link_.established() || members == told_members_) return;
  told_members_ = std::move(members);
  link_.send_members(told_members_);
}

void Peer::send_reports(bool all) {
  if (!link_.established()) return;
  send_members();
  reported_ = exchange_.applied();
  std::vector<Report> news;
  for (Report& report : exchange_.reports()) {
    if (report.site == hello().site_id) continue;
    uint64_t& serial = relayed_[report.site];
    if (!all && serial == report.serial) continue;
    serial = report.serial;
    news.push_back(std::move(report));
  }
  link_.send_reports(news);
}

}  // namespace outrigger
