#include "proxy/transactions/transaction_table.h"

#include "config/limits.h"

namespace outrigger {
namespace {

std::string name_of(const SessionKey& session) {
  std::string name(reinterpret_cast<const char*>(session.lsid.data()), session.lsid.size());
  return name.append(reinterpret_cast<const char*>(&session.user), sizeof session.user);
}

}  // namespace

uint64_t TransactionTable::lock_key(const SessionKey& session) {
  // Of no namespace, so of no document.
  return document_lock_key("", std::string_view(name_of(session)));
}

TransactionTable::Entry TransactionTable::find(const SessionKey& session) const {
  const std::string name = name_of(session);
  const MutexLock lock(mutex_);
  const auto found = open_.find(name);
  return found == open_.end() ? nullptr : found->second;
}

TransactionTable::Entry TransactionTable::open(const SessionKey& key, std::string process) {
  auto entry = std::make_shared<Transaction>(key, std::move(process), locks_, held_bytes_);
  std::string name = name_of(key);
  Entry older;  // its locks are given back without the mutex
  const MutexLock lock(mutex_);
  if (open_.size() >= limits::kTransactionsMax) return nullptr;
  Entry& place = open_[std::move(name)];
  older = std::exchange(place, entry);
  return entry;
}

void TransactionTable::end(const Entry& transaction, Left left, bool in_doubt) {
  transaction->note.set_in_doubt(in_doubt);
  transaction->note = {};
  transaction->release(left);
  remove(*transaction);
}

void TransactionTable::remove(const Transaction& transaction) {
  const std::string name = name_of(transaction.key());
  Entry gone;
  const MutexLock lock(mutex_);
  const auto found = open_.find(name);
  if (found == open_.end() || found->second.get() != &transaction) return;
  gone = std::move(found->second);
  open_.erase(found);
}

std::vector<TransactionTable::Entry> TransactionTable::unused_since(int64_t then_us) const {
  std::vector<Entry> out;
  const MutexLock lock(mutex_);
  for (const auto& [name, entry] : open_) {
    if (entry->used_us() <= then_us) out.push_back(entry);
  }
  return out;
}

size_t TransactionTable::size() const {
  const MutexLock lock(mutex_);
  return open_.size();
}

}  // namespace outrigger
