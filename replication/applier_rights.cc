// Namespaces that the store's user may not read, while it may read others. Nothing can be merged
// there: a record that touches one is set aside whole, under the bound of all such records, and the
// rest goes on. Where the right is granted they are applied, in the order of their stamps.
//
// A user that may read nowhere (or is none any more) says nothing about a namespace: then the
// stream waits, as for a store that is away.
#include "replication/applier_work.h"
#include "replication/replica_impl.h"

namespace outrigger {
namespace {

std::string about(const std::string& ns) { return "rights on " + ns; }

}  // namespace

// An error of a read. The same one; met_forbidden_ says that gathering again may do without it.
Error Applier::refused_to_read(const std::string& ns, Error error) {
  if (error.code != ErrorCode::kRefused) return error;
  auto forbidden = store_.forbidden(ns);
  if (!forbidden) return std::move(forbidden.error());
  if (forbidden->empty()) return error;
  say_forbidden(ns, kLacksRights + *forbidden);
  met_forbidden_ = forbidden_.emplace(ns, std::move(*forbidden)).second;
  return error;
}

std::string Applier::forbidden_in(const Record& record) const {
  if (forbidden_.empty()) return {};
  for (const DocumentEffects& document : record.documents) {
    const auto found = forbidden_.find(document.ns);
    if (found != forbidden_.end()) return kLacksRights + found->second;
  }
  return {};
}

void Applier::pass_over_forbidden(std::map<Origin, std::vector<Inbox::Item>>& front) const {
  if (forbidden_.empty()) return;
  for (auto& [origin, items] : front) {
    for (Inbox::Item& item : items) {
      if (item.record && item.wrong.empty()) item.wrong = forbidden_in(*item.record);
    }
  }
}

void Applier::say_forbidden(const std::string& ns, const std::string& why) {
  replica_.impl_->alarm(about(ns), why +
                                       ": what other sites write there is set aside, and tried "
                                       "again once it is granted");
}

void Applier::calm_forbidden(const std::string& ns) {
  const std::lock_guard guard(replica_.impl_->mutex);
  replica_.impl_->calm(about(ns));
}

void Applier::try_forbidden_again() {
  bool granted = false;
  for (auto at = forbidden_.begin(); at != forbidden_.end();) {
    const auto still = store_.forbidden(at->first);
    if (!still || !still->empty()) {
      ++at;
      continue;
    }
    calm_forbidden(at->first);
    at = forbidden_.erase(at);
    granted = true;
  }
  if (granted) release_forbidden();
}

// Records set aside that somebody wants to be tried again.
Status Applier::add_released(Work& work) {
  Replica::Impl& impl = *replica_.impl_;
  std::map<std::string, std::string> due;  // name -> ledger key
  {
    const std::lock_guard guard(impl.mutex);
    for (const std::string& name : impl.quarantine_retries) {
      const auto found = impl.quarantined.find(name);
      if (found != impl.quarantined.end()) due.insert(*found);
    }
    if (due.empty()) impl.quarantine_retries.clear();
  }
  for (const auto& [name, ledger_key] : due) {
    auto record = impl.quarantined_record(ledger_key);
    if (!record) return tl::unexpected(record.error());
    const bool forbidden = !forbidden_in(**record).empty();
    if (!forbidden && !locks_.take(**record)) continue;
    const std::lock_guard guard(impl.mutex);
    impl.quarantine_retries.erase(name);
    if (forbidden) continue;
    work.released.emplace(name, std::move(*record));
  }
  return {};
}

// All that were set aside for a right: which is still missing shows when they are gathered.
void Applier::release_forbidden() {
  Replica::Impl& impl = *replica_.impl_;
  std::map<std::string, std::string> all;  // name -> ledger key
  {
    const std::lock_guard guard(impl.mutex);
    all = impl.quarantined;
  }
  for (const auto& [name, ledger_key] : all) {
    const auto bytes = log_.ledger(ledger_key);
    if (!bytes || !*bytes) continue;
    const auto entry = decode_ledger(**bytes);
    if (!entry || !entry->reason.starts_with(kLacksRights)) continue;
    const std::lock_guard guard(impl.mutex);
    impl.quarantine_retries.insert(name);
  }
}

}  // namespace outrigger
