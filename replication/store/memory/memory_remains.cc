#include "replication/store/memory/memory_remains.h"

#include <algorithm>

namespace outrigger {
namespace {

bool among(std::span<const std::string> all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

void MemoryRemains::add_oplog(OplogWrite write) {
  const MutexLock lock(mutex_);
  oplog_.push_back(std::move(write));
}

void MemoryRemains::cut_oplog(Timestamp oldest) {
  const MutexLock lock(mutex_);
  oldest_oplog_ = oldest;
  std::erase_if(oplog_, [&](const OplogWrite& write) { return write.at < oldest; });
}

void MemoryRemains::drop_oplog_after(Timestamp newest) {
  const MutexLock lock(mutex_);
  std::erase_if(oplog_, [&](const OplogWrite& write) { return write.at > newest; });
}

void MemoryRemains::add_running(const std::string& lsid_id, const std::string& client,
                                bool stubborn) {
  const MutexLock lock(mutex_);
  running_.push_back({lsid_id, client, stubborn});
}

size_t MemoryRemains::running() const {
  const MutexLock lock(mutex_);
  return running_.size();
}

Status MemoryRemains::end_running(std::span<const std::string> lsid_ids) {
  const MutexLock lock(mutex_);
  bool left = false;
  std::erase_if(running_, [&](const Running& op) {
    if (op.lsid_id.empty() || !among(lsid_ids, op.lsid_id)) return false;
    left = left || op.stubborn;
    return !op.stubborn;
  });
  if (!left) return {};
  return fail(ErrorCode::kTimeout, "fence store", "memory store", "an operation does not end");
}

Timestamp MemoryRemains::newest() const {
  const MutexLock lock(mutex_);
  return oplog_.empty() ? oldest_oplog_ : oplog_.back().at;
}

Result<std::vector<OplogWrite>> MemoryRemains::written_since(
    Timestamp since, std::span<const std::string> lsid_ids) const {
  const MutexLock lock(mutex_);
  if (since < oldest_oplog_) {
    return fail(ErrorCode::kNotFound, "read oplog", "memory store",
                "it no longer reaches back that far");
  }
  std::vector<OplogWrite> found;
  for (const OplogWrite& write : oplog_) {
    if (write.at >= since && among(lsid_ids, write.lsid_id)) found.push_back(write);
  }
  return found;
}

}  // namespace outrigger
