#include "proxy/transactions/transaction_sweep.h"

#include <tuple>

namespace outrigger {
namespace {

constexpr std::chrono::milliseconds kFenceTimeout{5'000};

using Name = std::tuple<std::string, uint64_t, int64_t>;

// The session's lock, if nobody has it.
HeldLocks try_session(TransactionTable& table, const Transaction& transaction) {
  auto request = std::make_unique<LockRequest>();
  request->add(TransactionTable::lock_key(transaction.key()), LockMode::kExclusive);
  HeldLocks held = HeldLocks::try_take(table.locks(), std::move(request));
  held.leave(Left::kNothing);
  return held;
}

}  // namespace

Status TransactionSweep::step(StoreFence& store) {
  const int64_t now_us = clock_.monotonic_us();
  const auto quiet = table_.unused_since(now_us - kQuietUs);
  if (quiet.empty()) return {};
  std::vector<int64_t> used;  // before mongod is asked: what comes later is not in its answer
  for (const auto& entry : quiet) used.push_back(entry->used_us());
  auto shown = store.open_transactions();
  if (!shown) return tl::unexpected(shown.error());
  std::set<Name> open;
  for (const OpenTransaction& each : *shown) {
    open.emplace(each.lsid_id, user_in_digest(each.lsid_uid), each.txn_number);
  }
  Status result;
  for (size_t i = 0; i < quiet.size(); ++i) {
    const SessionKey& key = quiet[i]->key();
    if (open.count({quiet[i]->session_id(), key.user, key.txn_number}) == 0) {
      end(quiet[i], used[i]);
    } else if (used[i] <= now_us - kOrphanUs) {
      if (Status ended = end_orphan(quiet[i], store); !ended) result = ended;
    }
  }
  return result;
}

void TransactionSweep::end(const TransactionTable::Entry& entry, int64_t used_us) {
  const HeldLocks session = try_session(table_, *entry);
  if (!session || entry->used_us() != used_us) return;
  table_.end(entry, Left::kNothing);
  ended_();
}

Status TransactionSweep::end_orphan(const TransactionTable::Entry& entry, StoreFence& store) {
  const HeldLocks session = try_session(table_, *entry);
  if (!session || !entry->is_orphan() || table_.find(entry->key()) != entry) return {};
  const std::string lsid = entry->session_id();
  if (Status fenced = store.fence(std::span(&lsid, 1), {}, kFenceTimeout); !fenced) return fenced;
  table_.end(entry, Left::kNothing);
  ended_();
  return {};
}

void TransactionSweep::store_gone(const std::string& process) {
  for (const auto& entry : table_.all()) {
    if (entry->process() == process) end(entry, entry->used_us());
  }
}

}  // namespace outrigger
