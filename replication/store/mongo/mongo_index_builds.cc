#include "replication/store/mongo/mongo_index_builds.h"

#include <algorithm>
#include <utility>

#include "replication/store/mongo/mongo_fence.h"
#include "replication/store/store_errors.h"

namespace outrigger::mongo {
namespace {

constexpr auto kGiveUpTimeout = std::chrono::milliseconds(1000);
constexpr auto kLookAgain = std::chrono::milliseconds(50);
constexpr int32_t kInProgress = 117;  // ConflictingOperationInProgress

WriteOutcome being_built() {
  return {WriteOutcome::Kind::kRejected, kInProgress, "its index is being built", false};
}

WriteOutcome later(std::string why) {
  return {WriteOutcome::Kind::kRejected, kInProgress, std::move(why), false};
}

std::string ns_of(const std::string& key) { return key.substr(0, key.find('\0')); }
std::string name_of(const std::string& key) { return key.substr(key.find('\0') + 1); }

}  // namespace

// A thread that waits for mongod cannot be told; mongod can.
IndexBuilds::~IndexBuilds() {
  if (thread_ == nullptr) return;
  std::unique_ptr<Client> client;
  if (auto opened = Client::open(uri_)) client = std::move(*opened);
  while (true) {
    std::string session;
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
      waiting_.clear();
      wake_.notify_all();
      if (!at_) break;
      session = session_id_;
    }
    if (client != nullptr && !session.empty()) {
      (void)fence(*client, threads_, std::span(&session, 1), {}, kGiveUpTimeout);
    }
    threads_.sleep(kLookAgain);
  }
  thread_.reset();
}

WriteOutcome IndexBuilds::ask_for(const std::string& ns, const std::string& name,
                                  const std::string& command, bool is_relaxed,
                                  std::string* refusal) {
  const MutexLock lock(mutex_);
  if (builds_.size() >= kBuildsMax) {
    std::erase_if(builds_, [](const auto& each) { return each.second.is_over; });
  }
  const std::string key = ns + '\0' + name;
  if (builds_.size() >= kBuildsMax && builds_.count(key) == 0) return being_built();
  Build& build = builds_[key];
  build.is_wanted = true;
  build.is_relaxed = is_relaxed;
  const bool is_new = build.command != command;
  if (!is_new && !build.is_over) return being_built();
  // One that was built and is not there any more is built again.
  const bool has_failed = !is_new && !build.outcome.ok();
  if (has_failed && refusal != nullptr) {
    const WriteOutcome outcome = std::move(build.outcome);
    *refusal = std::move(build.reply);
    builds_.erase(key);
    return outcome;
  }
  if (has_failed && threads_.now() < build.not_before) return build.outcome;
  if (is_new) build.pause = std::chrono::seconds(0);
  build.command = command;
  build.is_over = false;
  waiting_.push_back(key);
  if (thread_ == nullptr) thread_ = threads_.start([this] { run(); });
  wake_.notify_all();
  return has_failed ? build.outcome : being_built();
}

void IndexBuilds::run() {
  std::unique_ptr<Client> client;
  if (auto opened = Client::open(uri_)) client = std::move(*opened);
  std::string command;
  bool is_relaxed = false;
  while (const auto key = next(command, is_relaxed)) {
    WriteOutcome outcome = later("there is no connection");
    std::string reply;
    if (client != nullptr && is_relaxed) {
      outcome = build_relaxed_one(*client, *key, command, reply);
    } else if (client != nullptr) {
      outcome = build_one(*client, *key, command, reply);
      if (outcome.ok() && !is_wanted(*key)) take_back(*client, *key);
    }
    note_over(*key, command, std::move(outcome), std::move(reply));
  }
}

std::optional<std::string> IndexBuilds::next(std::string& command, bool& is_relaxed) {
  const MutexLock lock(mutex_);
  at_.reset();
  while (waiting_.empty() && !stopping_) wake_.wait(mutex_);
  if (stopping_) return std::nullopt;
  at_ = std::move(waiting_.front());
  waiting_.pop_front();
  command = builds_[*at_].command;
  is_relaxed = builds_[*at_].is_relaxed;
  return at_;
}

void IndexBuilds::note_over(const std::string& key, const std::string& command,
                            WriteOutcome outcome, std::string reply) {
  const MutexLock lock(mutex_);
  Build& build = builds_[key];
  if (build.command != command) return;  // another one is wanted by now, and in line
  build.is_over = true;
  build.outcome = std::move(outcome);
  build.reply = std::move(reply);
  build.pause = std::clamp<std::chrono::seconds>(build.pause * 2, kPauseMin, kPauseMax);
  build.not_before = threads_.now() + build.pause;
}

// Who drops it waits until this has ended, and looks what is left of it.
WriteOutcome IndexBuilds::build_relaxed_one(Client& client, const std::string& key,
                                            const std::string& command, std::string& refusal) {
  const std::string ns = ns_of(key);
  const std::string name = name_of(key);
  auto begun = relaxed_.begin_build(ns, name);
  for (; begun == RelaxedIndexes::Begun::kHeld; begun = relaxed_.begin_build(ns, name)) {
    threads_.sleep(kLookAgain);
    const MutexLock lock(mutex_);
    if (stopping_) return later("the sidecar ends");
  }
  if (begun == RelaxedIndexes::Begun::kGone) return later("it has been dropped");
  WriteOutcome outcome = build_one(client, key, command, refusal);
  relaxed_.end_build(ns, name);
  return outcome;
}

void IndexBuilds::keep_only(const std::string& ns,
                            const std::map<std::string, bson::OwnedValue, std::less<>>& wanted) {
  const MutexLock lock(mutex_);
  const std::string first = ns + '\0';
  for (auto at = builds_.lower_bound(first); at != builds_.end(); ++at) {
    if (!at->first.starts_with(first)) break;
    if (at->second.is_relaxed) continue;
    at->second.is_wanted = wanted.contains(std::string_view(at->first).substr(first.size()));
  }
}

std::vector<std::string> IndexBuilds::waiting_in(const std::string& ns) {
  std::vector<std::string> names;
  const MutexLock lock(mutex_);
  const std::string first = ns + '\0';
  for (auto at = builds_.lower_bound(first); at != builds_.end(); ++at) {
    if (!at->first.starts_with(first)) break;
    if (!at->second.is_over) names.push_back(name_of(at->first));
  }
  return names;
}

bool IndexBuilds::give_up(const std::string& ns, const std::string& name) {
  const std::string key = ns + '\0' + name;
  const MutexLock lock(mutex_);
  const auto known = builds_.find(key);
  if (known == builds_.end()) return true;
  known->second.is_wanted = false;
  std::erase(waiting_, key);
  if (at_ == key) return false;
  builds_.erase(known);
  return true;
}

bool IndexBuilds::is_wanted(const std::string& key) {
  const MutexLock lock(mutex_);
  const auto known = builds_.find(key);
  return known != builds_.end() && known->second.is_wanted;
}

void IndexBuilds::take_back(Client& client, const std::string& key) {
  const Names names = split(ns_of(key));
  bson::Writer drop;
  drop.string("dropIndexes", names.collection).string("index", name_of(key));
  (void)client.run(names.database, drop.finish());
}

// createIndexes makes the collection where there is none: it may have been dropped meanwhile.
WriteOutcome IndexBuilds::build_one(Client& client, const std::string& key,
                                    const std::string& command, std::string& refusal) {
  const Names names = split(ns_of(key));
  if (auto connected = client.connect(); !connected) return later(connected.error().message());
  {
    const MutexLock lock(mutex_);
    session_id_ = client.session_id();
    if (stopping_) return later("the sidecar ends");
  }
  if (!is_wanted(key)) return later("it is not wanted any more");
  bson::Writer list;
  list.int32("listCollections", 1).open_document("filter").string("name", names.collection).close();
  bool is_there = false;
  const auto see = [&](const bson::Document&) { return is_there = true; };
  if (auto listed = client.each(names.database, list.finish(), "look at collection", see);
      !listed) {
    return later(listed.error().message());
  }
  if (!is_there) return later("there is no such collection any more");
  auto reply = client.run(names.database, command);
  if (!reply) return later(reply.error().message());
  if (reply->ok) return {};
  refusal = reply->bytes;
  return {WriteOutcome::Kind::kRejected, reply->code, reply->message, false};
}

}  // namespace outrigger::mongo
