#include "replication/apply/apply_writer.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "replication/apply/apply_batch.h"
#include "replication/record/catalog.h"
#include "replication/series/measurement.h"

namespace outrigger {
namespace {

constexpr size_t kReadAtOnce = 16;  // documents may be large

// It is the document of this birth.
bool is_born(const StoreWrite& birth, const std::string& there) {
  return bson::equal_unordered(bson::Document(there), bson::Document(birth.document));
}

// The collection that it changes, or puts a measurement into; else nothing.
std::string series_of(const StoreWrite& write) {
  if (series::holds_measurements(write.ns)) return series::collection_of(write.ns);
  const bool is_entry = write.ns == kCatalogNs && write.id.type == bson::Type::kString;
  return is_entry ? std::string(write.id.view().as_string()) : std::string();
}

// Whether they were dropped before they were made anew nobody can see. So they are again, and all
// that comes behind is inserted once more: nobody else writes to them meanwhile.
std::set<std::string> dropped_series(std::span<const StoreWrite> writes) {
  std::set<std::string> dropped;
  for (const StoreWrite& write : writes) {
    const bool drops = write.ns == kCatalogNs && write.kind == StoreWrite::Kind::kRemove;
    if (drops) dropped.insert(series_of(write));
  }
  return dropped;
}

// It is a note for people alone: where it cannot be had nothing waits for it.
bool may_never_be_asked(const Error& error) {
  return error.code == ErrorCode::kRefused || error.code == ErrorCode::kInvalidArgument;
}

}  // namespace

Status ApplyWriter::write(std::span<const StoreWrite> writes, ApplyProgress& progress) {
  if (!progress.is_stored) {
    if (Status stored = write_in_order(writes, progress); !stored) return stored;
    progress.is_stored = true;
  }
  if (Status looked = look_again(writes, progress); !looked) return looked;
  return progress.is_unheard ? ask_validators(writes, progress) : Status();
}

Status ApplyWriter::write_in_order(std::span<const StoreWrite> writes, ApplyProgress& progress) {
  if (progress.next > 0) {
    if (Status alive = store_.ping(); !alive) return alive;
    if (store_.process_id() != progress.process_id) progress.begin_again();
  }
  if (progress.is_put_back) return write_what_is_missing(writes, progress);
  if (progress.is_cut_short) {
    if (Status passed = pass_over_births(writes, progress); !passed) return passed;
    progress.is_cut_short = false;
  }
  // All of them done, and the wait for the journal was cut short.
  if (progress.next > 0 && progress.next == writes.size()) return store_.wait_journaled();
  Applied applied;
  if (!writes.empty()) applied = store_.apply_in_order(writes.subspan(progress.next));
  if (!applied.outcomes.empty()) progress.process_id = store_.process_id();
  const size_t begin = progress.next;
  progress.next += applied.outcomes.size();
  return note(std::move(applied), writes.subspan(begin), progress);
}

Status ApplyWriter::note(Applied&& applied, std::span<const StoreWrite> writes,
                         ApplyProgress& progress) {
  for (size_t i = 0; i < applied.outcomes.size(); ++i) {
    WriteOutcome& outcome = applied.outcomes[i];
    if (outcome.ok() && !outcome.against_validator) continue;
    const std::string key = row_key_of(writes[i]);
    if (outcome.against_validator) progress.outcomes.validator_says[key] = outcome.message;
    if (!outcome.ok()) progress.refused[key] = std::move(outcome);
  }
  progress.is_cut_short = applied.stopped.has_value();
  progress.is_unheard = progress.is_unheard || progress.is_cut_short;
  if (applied.stopped) return tl::unexpected(std::move(*applied.stopped));
  return {};
}

// Of one namespace, as many of the first as are read together.
Result<std::vector<std::optional<std::string>>> ApplyWriter::read_some(
    std::span<const StoreWrite* const> of) {
  std::vector<bson::OwnedValue> ids;
  for (const StoreWrite* write : of) {
    if (ids.size() == kReadAtOnce || write->ns != of.front()->ns) break;
    ids.push_back(write->id);
  }
  auto stored = store_.read(of.front()->ns, ids);
  if (!stored && stored.error().code == ErrorCode::kInvalidArgument && ids.size() > 1) {
    ids.resize(1);  // one of them is
    stored = store_.read(of.front()->ns, ids);
  }
  if (!stored && stored.error().code == ErrorCode::kInvalidArgument) {
    stored = std::vector<std::optional<std::string>>(1);  // no document can be there
  }
  return stored;
}

// Births whose answer was lost would be refused one by one, and the rest sent again each time.
Status ApplyWriter::pass_over_births(std::span<const StoreWrite> writes, ApplyProgress& progress) {
  while (progress.next < writes.size()) {
    std::vector<const StoreWrite*> births;
    for (const StoreWrite& write : writes.subspan(progress.next)) {
      if (births.size() == kReadAtOnce || write.kind != StoreWrite::Kind::kInsert) break;
      births.push_back(&write);
    }
    if (births.empty()) return {};
    const auto stored = read_some(births);
    if (!stored) return tl::unexpected(stored.error());
    for (size_t i = 0; i < stored->size(); ++i) {
      if (!(*stored)[i]) return {};
      if (!is_born(*births[i], *(*stored)[i])) {
        progress.refused[row_key_of(*births[i])].kind = WriteOutcome::Kind::kRejected;
      }
      ++progress.next;
    }
  }
  return {};
}

// Each document where the batch is done with it.
Status ApplyWriter::write_what_is_missing(std::span<const StoreWrite> writes,
                                          ApplyProgress& progress) {
  const std::set<std::string> dropped = dropped_series(writes);
  if (!dropped.empty()) {
    std::vector<StoreWrite> again;
    std::copy_if(writes.begin(), writes.end(), std::back_inserter(again),
                 [&](const StoreWrite& write) { return dropped.contains(series_of(write)); });
    if (Status done = note(store_.apply_in_order(again), again, progress); !done) return done;
  }
  std::map<std::string, std::vector<const StoreWrite*>> of;
  for (const StoreWrite& write : writes) of[row_key_of(write)].push_back(&write);
  std::vector<const StoreWrite*> last;
  for (const StoreWrite& write : writes) {
    if (dropped.contains(series_of(write))) continue;
    if (of.at(row_key_of(write)).back() == &write) last.push_back(&write);
  }
  std::vector<StoreWrite> missing;
  std::map<std::string, size_t> before_births;  // by namespace: of `missing`, those before its last
  for (size_t begin = 0; begin < last.size();) {
    auto stored = read_some(std::span(last).subspan(begin));
    if (!stored) return tl::unexpected(stored.error());
    for (std::optional<std::string>& there : *stored) {
      const StoreWrite& write = *last[begin++];
      const std::string key = row_key_of(write);
      const auto& all = of.at(key);
      if (all.size() == 1 && write.kind == StoreWrite::Kind::kInsert && there) {
        if (!is_born(write, *there)) progress.refused[key].kind = WriteOutcome::Kind::kRejected;
        before_births[write.ns] = missing.size();
        continue;
      }
      const auto wanted = written(there, all);
      auto rest = write_between(write.ns, write.id, there, wanted);
      if (rest) {
        missing.push_back(std::move(*rest));
      } else if (!wanted && write.kind == StoreWrite::Kind::kUpdate) {
        progress.refused[key].kind = WriteOutcome::Kind::kNotMatched;
      }
    }
  }
  if (Status passed = pass_over_evicted(missing, before_births); !passed) return passed;
  // What it has got already may not be in its journal.
  if (missing.empty()) return store_.wait_journaled();
  return note(store_.apply_in_order(missing), missing, progress);
}

// A capped collection evicts in the order of its births: what was born before one that is there and
// is missing was not forgotten. Put back it would evict what is newer.
Status ApplyWriter::pass_over_evicted(std::vector<StoreWrite>& missing,
                                      const std::map<std::string, size_t>& before_births) {
  std::vector<StoreWrite> left;
  std::map<std::string, bool> evicts;
  for (size_t i = 0; i < missing.size(); ++i) {
    StoreWrite& write = missing[i];
    const bool is_birth = write.kind != StoreWrite::Kind::kUpdate && !write.document.empty();
    const auto before = before_births.find(write.ns);
    if (is_birth && before != before_births.end() && i < before->second) {
      const auto [known, is_new] = evicts.try_emplace(write.ns, false);
      const auto said = is_new ? is_capped(store_, write.ns) : Result<bool>(known->second);
      if (!said) return tl::unexpected(said.error());
      known->second = *said;
      if (*said) continue;
    }
    left.push_back(std::move(write));
  }
  missing = std::move(left);
  return {};
}

// The documents that were not taken as they came: perhaps the write was too special (the document
// is not as it was read), or what stood in the way has been written since. All of each, now.
Status ApplyWriter::look_again(std::span<const StoreWrite> writes, ApplyProgress& progress) {
  std::map<std::string, std::vector<const StoreWrite*>> of;
  if (progress.refused.empty()) return {};
  for (const StoreWrite& write : writes) {
    const std::string key = row_key_of(write);
    if (progress.refused.count(key) != 0) of[key].push_back(&write);
  }
  while (!progress.refused.empty()) {
    const auto next = progress.refused.begin();
    auto refusal = try_whole(of[next->first], progress.outcomes);
    if (!refusal) return tl::unexpected(refusal.error());
    if (*refusal) progress.outcomes.set_aside[next->first] = std::move(**refusal);
    progress.refused.erase(next);
  }
  return {};
}

// Of a document that was as it is to be the store has said nothing.
Status ApplyWriter::ask_validators(std::span<const StoreWrite> writes, ApplyProgress& progress) {
  ApplyOutcomes& outcomes = progress.outcomes;
  std::map<std::string, std::map<std::string, const StoreWrite*>> of;  // by namespace and row key
  for (const StoreWrite& write : writes) {
    const std::string key = row_key_of(write);
    const bool is_known = outcomes.validator_says.count(key) + outcomes.set_aside.count(key) +
                              outcomes.strangers.count(key) >
                          0;
    if (!is_known && write.kind != StoreWrite::Kind::kRemove) of[write.ns][key] = &write;
  }
  for (const auto& [ns, documents] : of) {
    std::vector<bson::OwnedValue> ids;
    std::vector<const std::string*> keys;
    for (const auto& [key, write] : documents) {
      ids.push_back(write->id);
      keys.push_back(&key);
    }
    const auto against = store_.against_validator(ns, ids);
    if (!against && !may_never_be_asked(against.error())) return tl::unexpected(against.error());
    if (!against) continue;
    for (const size_t at : *against) outcomes.validator_says[*keys[at]] = kFailedValidation;
  }
  progress.is_unheard = false;
  return {};
}

Result<std::optional<ApplyRefusal>> ApplyWriter::try_whole(const std::vector<const StoreWrite*>& of,
                                                           ApplyOutcomes& outcomes) {
  const StoreWrite& last = *of.back();
  auto stored = read_some(std::span(of).last(1));
  if (!stored) return tl::unexpected(stored.error());
  if (of.size() == 1 && last.kind == StoreWrite::Kind::kInsert && stored->front()) {
    // It may be this very one, written before a crash or an answer that was lost.
    const std::string& there = *stored->front();
    if (!is_born(last, there)) outcomes.strangers.emplace(row_key_of(last), there);
    return std::optional<ApplyRefusal>();
  }
  ApplyRefusal refusal{last.ns, last.id, written(std::move(stored->front()), of), {}};
  if (!refusal.document && last.kind == StoreWrite::Kind::kUpdate) {
    refusal.outcome.kind = WriteOutcome::Kind::kNotMatched;
    return refusal;
  }
  const StoreWrite whole = whole_write(last.ns, last.id, refusal.document);
  auto applied = store_.apply(std::span(&whole, 1));
  if (!applied) return tl::unexpected(applied.error());
  refusal.outcome = std::move(applied->front());
  if (refusal.outcome.against_validator) {
    outcomes.validator_says[row_key_of(whole)] = refusal.outcome.message;
  }
  if (refusal.outcome.ok()) return std::optional<ApplyRefusal>();
  return refusal;
}

}  // namespace outrigger
