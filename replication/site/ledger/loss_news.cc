#include "replication/site/ledger/loss_news.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "replication/record/record_checks.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kSearchedEntries = 1000;
constexpr size_t kSearchedBytes = 1u << 20;
// Of the ledger, for one decision: a person made it, and it is mostly about something new.
constexpr size_t kReadBytesMax = 8u << 20;
constexpr size_t kToldAtOnceMax = 256;            // in a record
constexpr size_t kToldAtOnceBytesMax = 1u << 20;  // but for the first

}  // namespace

void HeardNews::decide(LedgerEntry& entry) const {
  for (const auto& [by, decision] : decisions) {
    if (is_about(decision, entry)) static_cast<void>(outrigger::decide(entry, decision, by));
  }
}

Status LossNews::load() {
  auto owed = context_.outbox.scan_meta(meta_keys::kOwedLoss);
  if (!owed) return tl::unexpected(owed.error());
  const MutexLock lock(mutex_);
  for (const auto& [key, nothing] : *owed) {
    owed_.insert(key.substr(std::strlen(meta_keys::kOwedLoss)));
  }
  return {};
}

// ---- telling

Status LossNews::tell_decision(Record& record, outbox::Batch& batch, LedgerEntry entry) const {
  const std::string key = ledger_key(entry);
  HeardNews now;
  now.decisions.push_back({record.dot(), decision_about(entry)});
  const LedgerDecision& decision = now.decisions.front().decision;
  record.news = encode_news({decision, {}});
  if (Status put = put_decisions(batch, now); !put) return put;
  if (outrigger::decide(entry, decision, record.dot())) ledger_.keep(batch, key, entry);
  return {};
}

bool LossNews::is_owed(const LedgerEntry& entry) const {
  return context_.options.members.size() > 1 && is_to_be_told(entry, context_.self.site);
}

void LossNews::put_owed(outbox::Batch& batch, const std::string& key) {
  batch.put_meta(meta_keys::kOwedLoss + key, "");
}

void LossNews::owe(const std::vector<std::string>& keys) {
  const MutexLock lock(mutex_);
  owed_.insert(keys.begin(), keys.end());
}

bool LossNews::owes() const {
  const MutexLock lock(mutex_);
  return !owed_.empty();
}

Result<std::vector<std::string>> LossNews::tell_owed(Record& record, outbox::Batch& batch) const {
  std::vector<std::string> keys;
  {
    const MutexLock lock(mutex_);
    for (const std::string& key : owed_) {
      if (keys.size() == kToldAtOnceMax) break;
      keys.push_back(key);
    }
  }
  LedgerNews news;
  size_t bytes = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    auto entry = context_.outbox.ledger(keys[i]);
    if (!entry) return tl::unexpected(entry.error());
    const size_t more = *entry ? (*entry)->size() : 0;  // else it was dropped meanwhile
    if (bytes > 0 && bytes + more > kToldAtOnceBytesMax) {
      keys.resize(i);
      break;
    }
    bytes += more;
    batch.remove_meta(meta_keys::kOwedLoss + keys[i]);
    if (!*entry) continue;
    auto lost = decode_ledger(**entry);
    if (!lost) continue;  // nobody can read it; all else goes on
    news.lost.push_back(std::move(*lost));
  }
  if (!news.lost.empty()) record.news = encode_news(news);
  return keys;
}

void LossNews::told(const std::vector<std::string>& keys) {
  const MutexLock lock(mutex_);
  for (const std::string& key : keys) owed_.erase(key);
}

// ---- hearing

HeardNews LossNews::heard(const std::vector<std::shared_ptr<const Record>>& records) const {
  HeardNews heard;
  const auto& replicates = context_.options.replicates;
  for (const auto& record : records) {
    if (record->news.empty()) continue;
    auto news = decode_news(record->news);
    if (!news) continue;
    if (news->decision) heard.decisions.push_back({record->dot(), std::move(*news->decision)});
    for (LedgerEntry& lost : news->lost) {
      if (replicates && !replicates(lost.ns)) continue;
      // Who tells it is who wrote, and had seen what took it.
      const bool is_own = lost.loser.origin.site == record->origin.site;
      const bool is_after = lost.loser < record->dot() && record->deps.covers(lost.winner);
      if (!is_own || !is_after || !wrong_with_namespace(lost.ns).empty()) continue;
      if (lost.decided > record->dot()) continue;
      std::string key = ledger_key(lost);
      heard.lost.emplace(std::move(key), std::move(lost));
    }
  }
  return heard;
}

Status LossNews::put_decisions(outbox::Batch& batch, const HeardNews& heard) const {
  std::map<std::string, LedgerEntry> decided;
  for (const auto& [by, decision] : heard.decisions) {
    auto entries = entries_about(decision);
    if (!entries) return tl::unexpected(entries.error());
    for (auto& [key, entry] : *entries) {
      LedgerEntry& kept = decided.try_emplace(key, std::move(entry)).first->second;
      if (outrigger::decide(kept, decision, by)) ledger_.keep(batch, key, kept);
    }
  }
  return {};
}

// Where the site that decided has it, and from the value that lost on: no entry is older than that.
Result<std::map<std::string, LedgerEntry>> LossNews::entries_about(
    const LedgerDecision& decision) const {
  std::map<std::string, LedgerEntry> found;
  const Dot& later = std::max(decision.loser, decision.winner);
  for (const Hlc from : {later.hlc, decision.loser.hlc}) {
    if (Status added = add_entries_about(decision, from, found); !added) {
      return tl::unexpected(added.error());
    }
  }
  return found;
}

Status LossNews::add_entries_about(const LedgerDecision& decision, Hlc begin,
                                   std::map<std::string, LedgerEntry>& found) const {
  const std::string document =
      outbox::row_key(decision.ns, bson::canonical_key(decision.id.view()));
  std::string from = outbox::sortable(begin);
  for (size_t read = 0; read < kReadBytesMax;) {
    auto pairs = context_.outbox.oldest_ledger(from, kSearchedEntries, kSearchedBytes);
    if (!pairs) return tl::unexpected(pairs.error());
    if (pairs->empty()) break;
    for (const auto& [key, bytes] : *pairs) {
      read += key.size() + bytes.size();
      from = key + '\0';
      if (!std::string_view(key).substr(sizeof(Hlc)).starts_with(document)) continue;
      auto entry = decode_ledger(bytes);
      if (!entry) return tl::unexpected(entry.error());
      if (is_about(decision, *entry)) found.emplace(key, std::move(*entry));
    }
  }
  return {};
}

}  // namespace outrigger
