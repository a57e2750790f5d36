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
      if (!is_building_) break;
      session = session_id_;
    }
    if (client != nullptr && !session.empty()) {
      (void)fence(*client, threads_, std::span(&session, 1), {}, kGiveUpTimeout);
    }
    threads_.sleep(kLookAgain);
  }
  thread_.reset();
}

WriteOutcome IndexBuilds::build(const std::string& ns, const std::string& name,
                                const std::string& command, std::string* refusal) {
  const MutexLock lock(mutex_);
  if (builds_.size() >= kBuildsMax) {
    std::erase_if(builds_, [](const auto& each) { return each.second.is_over; });
  }
  const std::string key = ns + '\0' + name;
  if (builds_.size() >= kBuildsMax && builds_.count(key) == 0) return being_built();
  Build& build = builds_[key];
  build.is_wanted = true;
  const bool is_new = build.command != command;
  if (!is_new && !build.is_over) return being_built();
  // One that was built and is not there any more is built again.
  const bool has_failed = !is_new && !build.outcome.ok();
  if (has_failed && refusal != nullptr) *refusal = build.reply;
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
  while (true) {
    std::string key;
    std::string command;
    {
      const MutexLock lock(mutex_);
      is_building_ = false;
      while (waiting_.empty() && !stopping_) wake_.wait(mutex_);
      if (stopping_) return;
      key = std::move(waiting_.front());
      waiting_.pop_front();
      command = builds_[key].command;
      is_building_ = true;
    }
    WriteOutcome outcome;
    std::string reply;
    if (client != nullptr) outcome = build_one(*client, key, command, reply);
    if (client != nullptr && outcome.ok() && !is_wanted(key)) take_back(*client, key);
    const MutexLock lock(mutex_);
    Build& build = builds_[key];
    if (build.command != command) continue;  // another one is wanted by now, and in line
    build.is_over = true;
    build.outcome = std::move(outcome);
    build.reply = std::move(reply);
    build.pause = std::clamp<std::chrono::seconds>(build.pause * 2, kPauseMin, kPauseMax);
    build.not_before = threads_.now() + build.pause;
  }
}

void IndexBuilds::keep_only(const std::string& ns,
                            const std::map<std::string, bson::OwnedValue, std::less<>>& wanted) {
  const MutexLock lock(mutex_);
  const std::string first = ns + '\0';
  for (auto at = builds_.lower_bound(first); at != builds_.end(); ++at) {
    if (!at->first.starts_with(first)) break;
    at->second.is_wanted = wanted.contains(std::string_view(at->first).substr(first.size()));
  }
}

bool IndexBuilds::is_wanted(const std::string& key) {
  const MutexLock lock(mutex_);
  return builds_[key].is_wanted;
}

void IndexBuilds::take_back(Client& client, const std::string& key) {
  const Names names = split(std::string_view(key).substr(0, key.find('\0')));
  bson::Writer drop;
  drop.string("dropIndexes", names.collection).string("index", key.substr(key.find('\0') + 1));
  (void)client.run(names.database, drop.finish());
}

// createIndexes makes the collection where there is none: it may have been dropped meanwhile.
WriteOutcome IndexBuilds::build_one(Client& client, const std::string& key,
                                    const std::string& command, std::string& refusal) {
  const Names names = split(std::string_view(key).substr(0, key.find('\0')));
  const auto later = [](std::string why) {
    return WriteOutcome{WriteOutcome::Kind::kRejected, kInProgress, std::move(why), false};
  };
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
