#include "replication/kept/kept_keys.h"

#include <algorithm>
#include <utility>

#include "config/policy.h"
#include "replication/record/catalog.h"

namespace outrigger {
namespace {

using bson::Document;

constexpr size_t kLookedAtOnce = 32;  // the stream waits meanwhile
constexpr const char* kAlarm = "unique: keep";

}  // namespace

bool KeptKeys::is_to_keep(const std::string& ns) const {
  const Policy* policy = site_.context.options.policy;
  return policy != nullptr && policy->merge_rules(ns).keeps_duplicates();
}

Result<bool> KeptKeys::keeps(const std::string& ns) {
  if (!is_to_keep(ns)) return false;
  if (!can_ || asked_ != store_.process_id()) {
    auto info = store_.info();
    if (!info) return tl::unexpected(info.error());
    can_ = info->can_guard();
    asked_ = store_.process_id();
    if (can_) site_.alarms.calm(kAlarm);
    if (!can_) {
      site_.alarms.raise(kAlarm,
                         "the rules say unique: keep, which needs MongoDB 6.0, and this is " +
                             info->version +
                             (info->feature_version.empty()
                                  ? std::string()
                                  : " at featureCompatibilityVersion " + info->feature_version) +
                             ": what shares a key is parked here, and shown elsewhere");
    }
  }
  return can_;
}

// A store can be told to behave as an older one while it runs: an index that is relaxed then could
// not be closed.
Result<Opened> KeptKeys::open(const std::string& ns, const std::string& index) {
  if (!site_.kept.relaxed(ns, index)) {
    asked_.clear();
    const auto can = keeps(ns);
    if (!can) return tl::unexpected(can.error());
    if (!*can) return Opened::kNot;
  }
  return guards_.open(ns, index);
}

Status KeptKeys::note(const std::string& ns, const std::string& document, KeptChanges& changes) {
  for (const RelaxedIndex& index : site_.kept.relaxed_in(ns)) {
    if (site_.kept.is_dropped(index)) continue;
    if (Status noted = entries_.note_in(ns, document, index, changes); !noted) return noted;
  }
  return {};
}

// ---- looking again

Result<bool> KeptKeys::step(std::vector<KeptDocument>& disputed) {
  guards_.sweep();
  if (site_.kept.empty()) {
    (void)site_.kept.take_reason();
    return false;
  }
  if (Status looked = guards_.look_again(); !looked) return tl::unexpected(looked.error());
  if (cursor_.empty() && !site_.kept.take_reason()) return false;
  if (Status admitted = admitted_(); !admitted) return tl::unexpected(admitted.error());
  for (const KeptDocument& each : site_.kept.next(cursor_, kLookedAtOnce)) {
    if (Status looked = look_at(each, disputed); !looked) return tl::unexpected(looked.error());
  }
  if (!cursor_.empty()) return true;
  for (const RelaxedIndex& index : site_.kept.all_relaxed()) {
    if (site_.kept.has_kept(index) && !guards_.is_suspect(index)) continue;
    const auto retired = guards_.retire(index);
    if (!retired) return tl::unexpected(retired.error());
    if (retired->ok()) continue;
    if (Status noted = note_duplicates(index, *retired); !noted) {
      return tl::unexpected(noted.error());
    }
  }
  return false;
}

Status KeptKeys::look_at(const KeptDocument& document, std::vector<KeptDocument>& disputed) {
  const auto index = site_.kept.relaxed(document.ns, document.index);
  auto stored = store_.read(document.ns, std::span(&document.id, 1));
  const bool is_there = stored && stored->front();
  if (!stored && stored.error().code == ErrorCode::kRefused) return {};
  if (!stored && stored.error().code != ErrorCode::kInvalidArgument) {
    return tl::unexpected(stored.error());
  }
  KeptChanges changes;
  if (!is_there || !index || site_.kept.is_dropped(*index)) {
    if (Status resolved = entries_.resolve(document, changes); !resolved) return resolved;
    return entries_.write(changes);
  }
  if (Status noted = entries_.note_in(document.ns, *stored->front(), *index, changes); !noted)
    return noted;
  if (Status written = entries_.write(changes); !written) return written;
  const auto still = site_.kept.kept(document.row_key(), document.index);
  if (still && !is_to_keep(document.ns)) disputed.push_back(*still);
  return {};
}

Status KeptKeys::note_duplicates(const RelaxedIndex& index, const GuardChange& found) {
  KeptChanges changes;
  for (const std::vector<bson::OwnedValue>& ids : found.duplicates) {
    auto documents = store_.read(index.ns, ids);
    if (!documents) return tl::unexpected(documents.error());
    for (const std::optional<std::string>& document : *documents) {
      if (!document) continue;
      if (Status noted = entries_.note_in(index.ns, *document, index, changes); !noted)
        return noted;
    }
  }
  if (changes.empty() && !site_.kept.has_kept(index)) {
    guards_.tell_once(index, "cannot be made unique again: " + found.message);
  }
  // Where some are new there may be more than MongoDB has told.
  const bool are_all = changes.empty() && found.code == GuardChange::kHasDuplicates;
  if (are_all) guards_.looked_at(index);
  return entries_.write(changes);
}

// What it takes away, or makes another, is not ours any more: in the log before the record is.
Status KeptKeys::told(const StoreWrite& write) {
  if (write.id.type != bson::Type::kString) return {};
  CatalogEntry entry = site_.kept.catalogued(std::string(write.id.view().as_string()));
  if (entry.indexes.empty()) return {};
  if (write.kind == StoreWrite::Kind::kRemove) entry.indexes.clear();
  if (!write.document.empty()) {
    if (auto whole = catalog_entry(Document(write.document))) entry = std::move(*whole);
  }
  for (const Path& path : write.unset) (void)unset_in_catalog(entry, path);
  for (const StoreWrite::Set& set : write.set) (void)set_in_catalog(entry, set.path, set.value);
  const KeptChanges gone = site_.kept.gone_by(entry);
  if (Status written = entries_.write(gone); !written) return written;
  site_.kept.look_again();
  return {};
}

}  // namespace outrigger
