#include "proxy/expiry/store_monitor.h"

#include <utility>

#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Type;
using bson::Writer;

constexpr const char* kParameter = "ttlMonitorEnabled";

std::string for_admin(Writer& out) { return out.string("$db", "admin").finish(); }

// mongod was started with it off: on its command line as a text, in its file as either.
bool is_forbidden(const Document& options) {
  Document at = options;
  for (const char* name : {"parsed", "setParameter"}) {
    const auto next = at.find(name);
    if (!next || next->type != Type::kDocument) return false;
    at = next->as_document();
  }
  const auto value = at.find(kParameter);
  if (!value) return false;
  if (value->type == Type::kString) {
    return value->as_string() == "false" || value->as_string() == "0";
  }
  return !value->truthy();
}

// Of those that were started anew since nobody takes the old ones out.
constexpr size_t kMarkedMax = 16;

size_t place_in(const std::string& marked, const std::string& process) {
  if (process.empty()) return std::string::npos;
  for (size_t at = 0; at + process.size() <= marked.size(); at += kProcessBytes) {
    if (marked.compare(at, process.size(), process) == 0) return at;
  }
  return std::string::npos;
}

bool names(const std::string& marked, const std::string& process) {
  return place_in(marked, process) != std::string::npos;
}

}  // namespace

Status StoreMonitor::mark(bool is_ours) {
  const std::string process = connection_.process();
  std::string marked;
  if (is_one_of_several_) {
    Result<std::string> read = mark_.read();
    if (!read) return tl::unexpected(read.error());
    marked = std::move(*read);
    const size_t at = place_in(marked, process);
    if (at != std::string::npos) marked.erase(at, process.size());
    if (marked.size() >= kMarkedMax * kProcessBytes) marked.erase(0, kProcessBytes);
  }
  return mark_.write(is_ours ? marked + process : marked);
}

net::Task<Status> StoreMonitor::tend(bool rests) {
  if (connection_.was_opened()) {
    const Status learned = co_await learn_options();
    if (!learned) co_return learned;
  }
  if (is_forbidden_) co_return Status();
  const Status looked = co_await look();
  if (!looked) co_return looked;
  const Result<std::string> marked = mark_.read();
  if (!marked) co_return tl::unexpected(marked.error());
  const bool is_ours = names(*marked, connection_.process());
  if (state_ == MonitorState::kRests && !is_ours) state_ = MonitorState::kForbidden;
  Status done;
  if (rests && state_ != MonitorState::kRests && state_ != MonitorState::kForbidden) {
    done = co_await put_to_rest();
  } else if (!rests && is_ours) {
    done = co_await wake();
  }
  co_return done;
}

// The mark comes first: should we be killed in between, it says what may be so.
net::Task<Status> StoreMonitor::put_to_rest() {
  const Status marked = mark(true);
  if (!marked) co_return marked;
  Status done = co_await set(false);
  if (!done && done.error().code == ErrorCode::kRefused) {
    const Status unmarked = mark(false);
    if (!unmarked) co_return unmarked;
  }
  co_return done;
}

net::Task<Status> StoreMonitor::wake() {
  Status done = co_await set(true);
  if (done) done = mark(false);
  co_return done;
}

net::Task<Status> StoreMonitor::give_back() {
  const Result<std::string> marked = mark_.read();
  if (!marked) co_return tl::unexpected(marked.error());
  if (marked->empty()) co_return Status();
  Status done = co_await connection_.open();
  if (!done) co_return done;
  if (names(*marked, connection_.process())) {
    done = co_await wake();
  } else if (!is_one_of_several_) {
    done = mark_.write("");  // that run is gone, and its pause with it
  }
  co_return done;
}

// Another run of mongod may have been started otherwise. Who may not ask is told nothing of it.
net::Task<Status> StoreMonitor::learn_options() {
  Writer out;
  out.int32("getCmdLineOpts", 1);
  std::string body = for_admin(out);
  const Result<StoreAnswer> said = co_await connection_.ask(std::move(body));
  if (!said) co_return tl::unexpected(said.error());
  is_forbidden_ = said->is_ok() && is_forbidden(said->body());
  state_ = is_forbidden_ ? MonitorState::kForbidden : MonitorState::kUnknown;
  co_return Status();
}

net::Task<Status> StoreMonitor::look() {
  Writer out;
  out.int32("getParameter", 1).int32(kParameter, 1);
  std::string body = for_admin(out);
  const Result<StoreAnswer> said = co_await connection_.ask(std::move(body));
  if (!said) co_return tl::unexpected(said.error());
  state_ = MonitorState::kUnknown;
  if (!said->is_ok()) co_return Status();
  const auto works = said->body().find(kParameter);
  if (works) state_ = works->truthy() ? MonitorState::kWorks : MonitorState::kRests;
  co_return Status();
}

net::Task<Status> StoreMonitor::set(bool works) {
  Writer out;
  out.int32("setParameter", 1).boolean(kParameter, works);
  std::string body = for_admin(out);
  const Result<StoreAnswer> said = co_await connection_.ask(std::move(body));
  if (!said) co_return tl::unexpected(said.error());
  if (!said->is_ok()) {
    co_return fail(ErrorCode::kRefused, "put MongoDB's own TTL monitor to rest", "", said->words,
                   "grant setParameter on the cluster, which the role hostManager has");
  }
  const auto was = said->body().find("was");
  if (!was || was->truthy() != works) {
    log_->info("MongoDB's own TTL monitor {}", works ? "works again"
                                                     : "rests: the sidecar deletes "
                                                       "what has expired");
  }
  state_ = works ? MonitorState::kWorks : MonitorState::kRests;
  co_return Status();
}

}  // namespace outrigger
