#include "replication/apply/locks/apply_locks.h"

#include <algorithm>
#include <utility>

#include "replication/record/catalog.h"

namespace outrigger {
namespace {

std::vector<LockKey> keys_of(const Record& record) {
  std::vector<LockKey> keys;
  keys.reserve(record.documents.size() + 1);
  const std::string* ns = nullptr;
  for (const DocumentEffects& document : record.documents) {
    if (ns == nullptr || *ns != document.ns) {
      ns = &document.ns;
      keys.push_back({namespace_lock_key(*ns), LockMode::kShared});
    }
    keys.push_back({document_lock_key(*ns, document.id.view()), LockMode::kExclusive});
    // What merging makes of a collection may be that it goes: nobody writes to it meanwhile.
    if (*ns == kCatalogNs && document.id.type == bson::Type::kString) {
      keys.push_back({namespace_lock_key(document.id.view().as_string()), LockMode::kExclusive});
    }
  }
  return keys;
}

std::vector<LockKey> keys_of(std::span<const LockedDocument> documents) {
  std::vector<LockKey> keys;
  for (const LockedDocument& document : documents) {
    keys.push_back({namespace_lock_key(document.ns), LockMode::kShared});
    keys.push_back({document_lock_key(document.ns, document.id.view()), LockMode::kExclusive});
  }
  return keys;
}

}  // namespace

ApplyLocks::ApplyLocks(LockTable& table, std::function<void()> granted)
    : table_(table), notice_(std::make_shared<Notice>()) {
  const MutexLock lock(notice_->mutex);
  notice_->granted = std::move(granted);
}

ApplyLocks::~ApplyLocks() {
  // The table may be calling this moment.
  const MutexLock lock(notice_->mutex);
  notice_->granted = nullptr;
}

bool ApplyLocks::take(const Record& record) {
  const std::vector<LockKey> keys = keys_of(record);
  const auto place = places_.find(record.origin);
  if (place == places_.end()) return try_take(keys) || queue(record, keys);
  // One place an origin.
  if (place->second.stamp != record.hlc) return try_take(keys);
  if (!place->second.locks) return false;
  hold(std::move(place->second.locks), keys);
  places_.erase(place);
  return true;
}

bool ApplyLocks::take_if_free(const Record& record) { return try_take(keys_of(record)); }

bool ApplyLocks::take(std::string_view ns, const bson::Value& id) {
  std::vector<LockKey> keys = {{namespace_lock_key(ns), LockMode::kShared},
                               {document_lock_key(ns, id), LockMode::kExclusive}};
  if (ns == kCatalogNs && id.type == bson::Type::kString) {
    keys.push_back({namespace_lock_key(id.as_string()), LockMode::kExclusive});
  }
  return try_take(keys);
}

bool ApplyLocks::take_entry(std::string_view ns) {
  const bson::OwnedValue id = bson::make_string(ns);
  return try_take({{namespace_lock_key(kCatalogNs), LockMode::kShared},
                   {document_lock_key(kCatalogNs, id.view()), LockMode::kExclusive}});
}

bool ApplyLocks::take_or_wait(const std::string& owner, std::span<const LockedDocument> documents) {
  return take_or_wait(owner, keys_of(documents), line_);
}

bool ApplyLocks::take_in_turn(const std::string& owner, const LockedDocument& document) {
  if (turn_of() == owner) return take(turn_);
  return take_or_wait(owner, keys_of(std::span(&document, 1)), turn_);
}

bool ApplyLocks::take_all_or_wait(const std::string& owner, std::string_view ns) {
  return take_or_wait(owner, {{namespace_lock_key(ns), LockMode::kExclusive}}, line_);
}

bool ApplyLocks::take_or_wait(const std::string& owner, std::vector<LockKey> keys,
                              std::optional<Line>& line) {
  if (try_take(keys)) return true;
  if (line) return false;
  HeldLocks locks;
  if (stand_in_line(keys, locks)) {
    hold(std::move(locks), keys);
    return true;
  }
  line.emplace(Line{owner, std::move(keys), std::move(locks)});
  return false;
}

bool ApplyLocks::take_line() { return take(line_); }

bool ApplyLocks::take(std::optional<Line>& line) {
  if (!line || !line->locks) return false;
  hold(std::move(line->locks), line->keys);
  line.reset();
  return true;
}

void ApplyLocks::keep_places_of(const std::map<Origin, std::vector<Inbox::Item>>& front) {
  for (auto at = places_.begin(); at != places_.end();) {
    const auto queue = front.find(at->first);
    const Hlc stamp = at->second.stamp;
    const bool waits = queue != front.end() &&
                       std::any_of(queue->second.begin(), queue->second.end(),
                                   [&](const auto& item) { return item.through == stamp; });
    at = waits ? std::next(at) : places_.erase(at);
  }
}

void ApplyLocks::release() {
  held_.clear();
  held_keys_.clear();
}

std::vector<HeldLocks> ApplyLocks::hand_over() {
  held_keys_.clear();
  return std::exchange(held_, {});
}

void ApplyLocks::forget() {
  release();
  places_.clear();
}

bool ApplyLocks::try_take(const std::vector<LockKey>& keys) {
  auto request = std::make_unique<LockRequest>();
  for (const LockKey& key : keys) {
    const auto held = held_keys_.find(key.hash);
    // What is held shared cannot become exclusive in the middle of a batch.
    if (held != held_keys_.end() && held->second == LockMode::kShared &&
        key.mode == LockMode::kExclusive) {
      return false;
    }
    if (held == held_keys_.end()) request->add(key.hash, key.mode);
  }
  if (request->empty()) return true;
  HeldLocks locks = HeldLocks::try_take(table_, std::move(request));
  if (!locks) return false;
  hold(std::move(locks), keys);
  return true;
}

// Of the record's keys none is left out, though the batch may hold some: it lets them go before it
// comes to this record. True: they are free by now, and the batch held none of them.
bool ApplyLocks::queue(const Record& record, const std::vector<LockKey>& keys) {
  HeldLocks locks;
  if (stand_in_line(keys, locks)) {
    hold(std::move(locks), keys);
    return true;
  }
  places_.emplace(record.origin, Place{record.hlc, std::move(locks)});
  return false;
}

bool ApplyLocks::stand_in_line(const std::vector<LockKey>& keys, HeldLocks& locks) {
  auto request = std::make_unique<LockRequest>();
  for (const LockKey& key : keys) request->add(key.hash, key.mode);
  const bool at_once = table_.acquire(*request, [notice = notice_] {
    const MutexLock lock(notice->mutex);
    if (notice->granted) notice->granted();
  });
  locks = HeldLocks(table_, std::move(request));
  return at_once;
}

void ApplyLocks::hold(HeldLocks locks, const std::vector<LockKey>& keys) {
  held_.push_back(std::move(locks));
  for (const LockKey& key : keys) {
    LockMode& mode = held_keys_.try_emplace(key.hash, key.mode).first->second;
    if (key.mode == LockMode::kExclusive) mode = key.mode;
  }
}

}  // namespace outrigger
