#include "proxy/expiry/expiry.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/capture.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Type;

constexpr int64_t kBatchMsMax = 1'000;   // and how long it waits for whoever holds one
constexpr int64_t kPassUs = 10'000'000;  // then the catalogue and the monitor are looked at again
constexpr int64_t kSliceMs = 1'000;      // a change of it through the sidecar is seen so soon
constexpr int64_t kGiveBackMs = 2'000;

const char* const kMonitor = "the store's TTL monitor";
const char* const kCatalogue = "the TTL indexes";
const char* const kStore = "the store";

int64_t number_at(const Document& of, std::string_view name) {
  const auto value = of.find(name);
  return value ? value->to_int64().value_or(0) : 0;
}

std::optional<Document> array_at(const Document& of, std::string_view name) {
  const auto value = of.find(name);
  if (!value || value->type != Type::kArray) return std::nullopt;
  return value->as_document();
}

// Of a cursor's answer, one page.
template <typename Visit>
void each_shown(const Document& answer, const char* batch, const Visit& visit) {
  const auto cursor = answer.find("cursor");
  if (!cursor || cursor->type != Type::kDocument) return;
  const auto shown = array_at(cursor->as_document(), batch);
  if (!shown) return;
  for (const bson::Element& each : *shown) {
    if (each.value.type == Type::kDocument) visit(each.value.as_document());
  }
}

int64_t cursor_of(const Document& answer) {
  const auto cursor = answer.find("cursor");
  return cursor && cursor->type == Type::kDocument ? number_at(cursor->as_document(), "id") : 0;
}

// Of the first statement that was refused; a deletion has but one.
StoreAnswer first_error(const StoreAnswer& said) {
  StoreAnswer out;
  out.code = said.code;
  out.words = said.words;
  const auto errors = array_at(said.body(), "writeErrors");
  const auto first = errors ? errors->first() : std::nullopt;
  if (said.code != 0 || !first || first->value.type != Type::kDocument) return out;
  const Document error = first->value.as_document();
  out.code = static_cast<int>(number_at(error, "code"));
  const auto words = error.find("errmsg");
  if (words && words->type == Type::kString) out.words = std::string(words->as_string());
  return out;
}

std::string why_not_deleted(const TtlIndex& index, const StoreAnswer& error) {
  std::string why =
      fmt::format("what has expired in {} is not deleted: {}", index.ns(), error.words);
  if (error.code == wire::code::kUnauthorized) {
    why += fmt::format(" (grant the store's user find and remove on {})", index.ns());
  }
  return why;
}

}  // namespace

Expiry::Expiry(Parts parts)
    : context_(parts.context),
      settings_(parts.settings),
      catalogue_changes_(std::move(parts.catalogue_changes)),
      metrics_(parts.metrics),
      connection_(context_, parts.login),
      monitor_(connection_, parts.mark, context_.log, context_.members.size() > 1),
      followers_(context_, parts.login, parts.mark),
      timer_(context_.loop),
      limit_(context_.loop) {}

void Expiry::start() { tasks_.spawn(settings_.by == ExpiredBy::kStore ? leave_to_store() : run()); }

// A sidecar before this one, which was killed, may have put it to rest.
net::Task<void> Expiry::leave_to_store() {
  co_await followers_.give_back();
  while (!stopping_) {
    const Status given_back = co_await monitor_.give_back();
    connection_.close();
    if (given_back) co_return;
    complain(kMonitor, given_back.error().message());
    co_await wait();
  }
}

net::Task<void> Expiry::stop(int64_t timeout_ms, std::function<void()> hurry) {
  stopping_ = true;
  timer_.close();
  if (!tasks_.empty()) {
    limit_.start(timeout_ms, [this, hurry = std::move(hurry)] {
      connection_.close();
      hurry();
    });
  }
  co_await tasks_.until_empty();
  co_await followers_.give_back();
  limit_.start(kGiveBackMs, [this] { connection_.close(); });
  const Status given_back = co_await monitor_.give_back();
  limit_.close();
  connection_.close();
  if (given_back) co_return;
  context_.log->warn("MongoDB's own TTL monitor still rests: {}", given_back.error().message());
}

net::Task<void> Expiry::run() {
  while (!stopping_) {
    const bool is_done = co_await pass();
    if (is_done && !stopping_) co_await wait();
  }
}

net::Task<bool> Expiry::pass() {
  const Status looked = co_await look();
  if (stopping_) co_return true;
  if (!looked) {
    complain(kStore, "the sidecar deletes nothing now: " + looked.error().message());
    const MutexLock lock(mutex_);
    status_.by = "unknown";
  }
  bool is_done = true;
  if (looked) note_state();
  if (looked && monitor_.state() != MonitorState::kForbidden) is_done = co_await expire_all();
  const MutexLock lock(mutex_);
  complaints_ = std::exchange(said_, {});
  co_return is_done;
}

bool Expiry::any_travels() const {
  return std::any_of(indexes_.begin(), indexes_.end(), [](const Due& due) { return due.travels; });
}

// At what there is to do, and whether the store's own monitor rests.
net::Task<Status> Expiry::look() {
  const Status opened = co_await connection_.open();
  if (!opened) co_return opened;
  const Status learned = co_await learn_catalogue();
  if (!learned) co_return learned;
  followers_.tend(any_travels());
  const Status tended = co_await monitor_.tend(any_travels());
  if (!tended && tended.error().code != ErrorCode::kRefused) co_return tended;
  if (!tended) {
    complain(kMonitor, tended.error().message() +
                           "; what it deletes first is not seen: a document that another site has "
                           "extended meanwhile stays away here");
  }
  // Only now: to put back what a run of mongod forgot may take longer than the minute after which
  // its monitor wakes.
  const Status passed = co_await connection_.pass_gate();
  co_return passed;
}

net::Task<Status> Expiry::learn_catalogue() {
  changes_seen_ = catalogue_changes_();  // before it is asked: what comes later may not be in it
  std::vector<Due> found;
  std::string body = catalog_command();
  const char* batch = "firstBatch";
  for (;;) {
    const Result<StoreAnswer> said = co_await connection_.ask(std::move(body));
    if (!said) co_return tl::unexpected(said.error());
    const bool may_not_ask =
        said->code == wire::code::kUnauthorized || said->code == wire::code::kCommandNotFound;
    if (!said->is_ok() && !may_not_ask) {
      co_return fail(ErrorCode::kUnavailable, "look at", kCatalogue, said->words);
    }
    if (!said->is_ok()) {
      complain(kCatalogue, "they cannot be read, so documents expire by the store alone, unseen: " +
                               said->words + " (grant the store's user readWriteAnyDatabase)");
      found.clear();
      break;
    }
    each_shown(said->body(), batch, [&](const Document& listed) {
      for (TtlIndex& index : ttl_indexes(listed)) {
        const bool travels = context_.policy.replicates(index.ns());
        found.push_back({std::move(index), travels});
      }
    });
    const int64_t cursor = cursor_of(said->body());
    if (cursor == 0) break;
    bson::Writer more;
    more.int64("getMore", cursor).string("collection", "$cmd.aggregate");
    body = more.string("$db", "admin").finish();
    batch = "nextBatch";
  }
  indexes_ = std::move(found);
  co_return Status();
}

// One batch of each index in turn. False: there is more, but the rest is to be looked at anew.
net::Task<bool> Expiry::expire_all() {
  std::vector<Due> left;
  // Else the store does so.
  const bool takes_all = monitor_.state() == MonitorState::kRests;
  for (const Due& due : indexes_) {
    if (due.travels || takes_all) left.push_back(due);
  }
  const int64_t until_us = context_.clock.monotonic_us() + kPassUs;
  while (!left.empty()) {
    std::vector<Due> more;
    for (const Due& due : left) {
      if (changes_seen_ != catalogue_changes_()) co_return false;
      const int64_t since_us = context_.clock.monotonic_us();
      const Step step = co_await expire_some(due);
      if (step == Step::kBroken) co_return true;
      if (step == Step::kMore) more.push_back(due);
      if (step == Step::kMore) co_await rest(since_us);
      if (stopping_) co_return true;
    }
    left = std::move(more);
    if (context_.clock.monotonic_us() >= until_us) co_return left.empty();
  }
  co_return true;
}

net::Task<Expiry::Step> Expiry::expire_some(const Due& due) {
  const int64_t now_ms = context_.clock.wall_ms();
  std::string question = due_command(due.index, now_ms, batch_);
  if (question.empty()) co_return Step::kDone;
  const Result<StoreAnswer> found = co_await connection_.ask(std::move(question));
  if (!found) co_return Step::kBroken;
  const std::string ns = due.index.ns();
  if (!found->is_ok()) {
    complain(ns, why_not_deleted(due.index, *found));
    co_return Step::kDone;
  }
  size_t shown = 0;
  const std::vector<bson::OwnedValue> ids = free_ids(due, *found, shown);
  if (ids.empty()) co_return Step::kDone;
  // By another rule than the one that was asked for?
  if (changes_seen_ != catalogue_changes_()) co_return Step::kMore;
  std::string body = removal_command(due.index, now_ms, ids, kBatchMsMax);
  const Result<StoreAnswer> said = co_await remove(due, std::move(body));
  if (!said) co_return Step::kBroken;
  const int64_t deleted = number_at(said->body(), "n");
  count(due, deleted);
  const StoreAnswer error = first_error(*said);
  const bool was_held = error.code == wire::code::kMaxTimeMsExpired;
  if (!error.is_ok() && !was_held) complain(ns, why_not_deleted(due.index, error));
  const bool was_full = shown == batch_;
  if (was_held) batch_ = std::max<size_t>(1, batch_ / 2);
  if (error.is_ok()) batch_ = std::min(kBatchMax, batch_ * 2);
  co_return error.is_ok() && deleted > 0 && was_full ? Step::kMore : Step::kDone;
}

net::Task<Result<StoreAnswer>> Expiry::remove(const Due& due, std::string body) {
  if (!due.travels) {
    Result<StoreAnswer> said = co_await connection_.ask(std::move(body));
    co_return said;
  }
  Backend& backend = connection_.backend();
  const std::string message = wire::build_op_msg(backend.next_request_id(), 0, 0, Document(body));
  const wire::WireResult<wire::OpMsg> command = wire::parse_op_msg(message);
  OUTRIGGER_ASSERT(command.has_value());
  Capture capture(context_, backend);
  capture.mark_expiry();
  Answer answer = co_await capture.run(message, *command, CommandKind::kDelete, false);
  if (answer.kind == Answer::Kind::kPass) {  // mongod refuses it, in its own words
    Result<StoreAnswer> said = co_await connection_.ask(std::move(body));
    co_return said;
  }
  if (answer.kind == Answer::Kind::kMessage) co_return read_answer(std::move(answer.bytes));
  if (answer.kind == Answer::Kind::kBody) co_return read_answer_body(answer.bytes);
  connection_.close();
  co_return fail(ErrorCode::kClosed, "delete what has expired", due.index.ns(), "no answer");
}

std::vector<bson::OwnedValue> Expiry::free_ids(const Due& due, const StoreAnswer& found,
                                               size_t& shown) const {
  std::vector<bson::OwnedValue> ids;
  const std::string ns = due.index.ns();
  LockRequest request;
  each_shown(found.body(), "firstBatch", [&](const Document& document) {
    const auto id = document.find("_id");
    ++shown;
    if (!id) return;
    if (due.travels) {
      request.clear();
      request.add(namespace_lock_key(ns), LockMode::kShared);
      request.add(document_lock_key(ns, *id), LockMode::kExclusive);
      HeldLocks held = HeldLocks::try_take(context_.locks, request);
      held.leave(Left::kNothing);
      if (!held) return;
    }
    ids.emplace_back(*id);
  });
  return ids;
}

// Until the next pass is due, or the catalogue changes.
net::Task<void> Expiry::wait() {
  const int64_t until_us = context_.clock.monotonic_us() + settings_.every_ms * 1'000;
  for (;;) {
    const int64_t left_ms = (until_us - context_.clock.monotonic_us() + 999) / 1'000;
    if (left_ms <= 0) co_return;
    const bool elapsed = co_await timer_.sleep_ms(std::min(left_ms, kSliceMs));
    if (!elapsed || changes_seen_ != catalogue_changes_()) co_return;
  }
}

// As long as the work since then took.
net::Task<void> Expiry::rest(int64_t since_us) {
  const int64_t took_ms = (context_.clock.monotonic_us() - since_us) / 1'000;
  [[maybe_unused]] const bool elapsed =
      co_await timer_.sleep_ms(std::clamp<int64_t>(took_ms, 1, kSliceMs));
}

void Expiry::count(const Due& due, int64_t deleted) {
  if (deleted <= 0) return;
  metrics_
      .counter("expired_total", "documents deleted because their time had come, by namespace",
               {{"namespace", due.index.ns()}})
      .Increment(static_cast<double>(deleted));
  const MutexLock lock(mutex_);
  status_.expired += static_cast<uint64_t>(deleted);
}

void Expiry::complain(const std::string& about, const std::string& why) {
  said_[about] = why;
  {
    const MutexLock lock(mutex_);
    std::string& before = complaints_[about];
    if (std::exchange(before, why) == why) return;
  }
  context_.log->warn("{}: {}", about, why);
}

void Expiry::note_state() {
  const MutexLock lock(mutex_);
  status_.indexes = indexes_.size();
  switch (monitor_.state()) {
    case MonitorState::kRests:
      status_.by = "sidecar";
      break;
    case MonitorState::kForbidden:
      status_.by = "nobody";
      break;
    case MonitorState::kWorks:
    case MonitorState::kUnknown:
      status_.by = any_travels() ? "both" : "store";
      break;
  }
}

ExpiryStatus Expiry::status() const {
  const MutexLock lock(mutex_);
  ExpiryStatus out = status_;
  for (const auto& [about, why] : complaints_) out.lacks.push_back(about + ": " + why);
  return out;
}

}  // namespace outrigger
