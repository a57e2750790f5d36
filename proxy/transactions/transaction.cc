#include "proxy/transactions/transaction.h"

#include "config/limits.h"

namespace outrigger {
namespace {

// A lock in the table, in the request for it, and in the index of what is held.
constexpr size_t kLockBytes = 192;

}  // namespace

Transaction::~Transaction() {
  held_bytes_ -= counted_bytes_;
  release(Left::kNothing);
}

std::string Transaction::session_id() const {
  return {reinterpret_cast<const char*>(key_.lsid.data()), key_.lsid.size()};
}

void Transaction::use(int64_t now_us, std::weak_ptr<const void> app) {
  used_us_ = now_us;
  const MutexLock lock(app_mutex_);
  app_ = std::move(app);
}

bool Transaction::is_orphan() const {
  const MutexLock lock(app_mutex_);
  return app_.expired();
}

std::string Transaction::naming(const bson::Document& command, bool with_api) {
  bson::Writer out;
  if (const auto lsid = command.find("lsid")) out.value("lsid", *lsid);
  out.int64("txnNumber", key_.txn_number).boolean("autocommit", false);
  const auto concern = command.find("readConcern");
  if (!is_begun_) out.boolean("startTransaction", true);
  if (!is_begun_ && concern) out.value("readConcern", *concern);
  for (const bson::Element& field : command) {
    if (with_api && field.name.starts_with("api")) out.element(field);
  }
  is_begun_ = true;
  return out.finish();
}

LockRequest* Transaction::ask_for(std::span<const LockKey> keys) {
  if (requests_.size() > locks_.size()) requests_.pop_back();  // it was asked for in vain
  LockRequest& request = requests_.emplace_back();
  for (const LockKey& key : keys) {
    if (keys_.count(key.hash) == 0) request.add(key.hash, key.mode);
  }
  if (!request.empty()) return &request;
  requests_.pop_back();
  return nullptr;
}

void Transaction::keep(HeldLocks locks) {
  OUTRIGGER_ASSERT(locks && requests_.size() == locks_.size() + 1);
  const bool reads_long_ago = snapshot_ == 0;
  if (!is_begun_ && !reads_long_ago) snapshot_ = lock_table_.now();
  LockRequest& request = requests_.back();
  lock_table_.hold_long(request);
  for (const LockKey& key : request.keys()) keys_.emplace(key.hash, key.mode);
  count(kLockBytes * request.keys().size());
  locks_.push_back(std::move(locks));
  has_locks_ = true;
}

void Transaction::release(Left left) {
  for (HeldLocks& locks : locks_) locks.leave(left);
  locks_.clear();
  requests_.clear();
  keys_.clear();
  has_locks_ = false;
}

bool Transaction::add(DocumentChange change) {
  const size_t before = effects.bytes();
  effects.add(std::move(change));
  count(effects.bytes() - before);
  return has_room();
}

void Transaction::show(const std::string& ns, const bson::Document& document) {
  const size_t before = effects.bytes();
  effects.show(ns, document);
  count(effects.bytes() - before);
}

void Transaction::count(size_t more_bytes) {
  counted_bytes_ += more_bytes;
  held_bytes_ += more_bytes;
}

bool Transaction::note_catalog(const std::string& ns, std::string before) {
  count(ns.size() + before.size());
  catalog_.emplace(ns, std::move(before));
  return has_room();
}

bool Transaction::has_room() const {
  return counted_bytes_ <= limits::kTransactionBytesMax &&
         held_bytes_ <= limits::kTransactionsBytesMax;
}

}  // namespace outrigger
