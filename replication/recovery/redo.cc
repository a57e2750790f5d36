#include "replication/recovery/redo.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_notes.h"
#include "replication/apply/apply_writer.h"
#include "replication/record/catalog.h"
#include "replication/record/record_codec.h"
#include "replication/recovery/judge_series.h"
#include "replication/recovery/redo_found.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kReadBytes = 1u << 20;    // of records at once
constexpr size_t kDocumentsAtOnce = 16;    // each may be large
constexpr size_t kBytesAtOnce = 8u << 20;  // of the records about them
constexpr int32_t kDuplicateKey = 11000;

// Of those from `begin` on, as many as are looked at together: to where.
template <typename Windows>
size_t end_of_some(const Windows& documents, const std::vector<std::string>& keys, size_t begin) {
  const std::string& ns = documents.at(keys[begin]).ns;
  std::set<Dot> records;
  size_t bytes = 0;
  size_t end = begin;
  for (; end < keys.size() && end - begin < kDocumentsAtOnce; ++end) {
    const auto& window = documents.at(keys[end]);
    if (window.ns != ns) break;
    for (const RedoRecords::Place& place : window.places) {
      if (records.insert(place.dot).second) bytes += place.bytes;
    }
    if (end > begin && bytes > kBytesAtOnce) break;
  }
  return end;
}

// That run of the store answers. One that was served and answers again is served as before, whoever
// answered meanwhile.
Status meet(const std::string& process, ServedProcess& served) {
  if (is_of_earlier_term(process, served.process())) {
    return fail(ErrorCode::kUnavailable, "ask the store", "",
                "the primary that answers is of an earlier term than the one before it",
                "another one has been elected; if the set was restored from a backup, data_dir "
                "must be, too");
  }
  if (process == served.process()) served.serve(process);
  return {};
}

}  // namespace

// ---- what there is to do

Status Redo::look(Store& store) {
  if (Status alive = store.ping(); !alive) return alive;
  const std::string process = store.process_id();
  if (served_.process().empty()) {
    if (Status learned = learn_served(process); !learned) return learned;
  }
  if (Status met = meet(process, served_); !met) return met;
  if (served_.is(process)) {
    process_ = process;
    is_due_ = false;
    return {};
  }
  if (is_due_ && process == process_) return {};
  documents_.clear();
  due_.clear();
  noted_.clear();
  records_.clear();
  evicted_.clear();
  if (Status noted = note_records(); !noted) return noted;
  if (Status noted = note_prepared(); !noted) return noted;
  process_ = process;
  is_due_ = true;
  return {};
}

bool Redo::is_any_due(const std::set<std::string>& row_keys) const {
  return std::any_of(row_keys.begin(), row_keys.end(),
                     [&](const std::string& key) { return due_.count(key) > 0; });
}

Status Redo::still(Store& store) const {
  if (Status alive = store.ping(); !alive) return alive;
  if (store.process_id() == process_) return {};
  return fail(ErrorCode::kUnavailable, "ask the store", "", "it was started anew meanwhile",
              "it is tried again");
}

// What an earlier run of this program served. Nothing: it is new, or of a version that waited for
// the journal at each write.
Status Redo::learn_served(const std::string& process) {
  auto noted = outbox_.meta(meta_keys::kStoreProcess);
  if (!noted) return tl::unexpected(noted.error());
  if (*noted) {
    served_.serve(**noted);
    return {};
  }
  outbox::Batch batch;
  put_journaled(batch, site_.state.applied());
  if (Status written = outbox_.write(std::move(batch)); !written) return written;
  site_.state.journaled(site_.state.applied());
  process_ = process;
  return finish();
}

Redo::Window& Redo::note(const std::string& ns, const bson::OwnedValue& id) {
  const std::string key = outbox::row_key(ns, bson::canonical_key(id.view()));
  due_.insert(key);
  Window& window = documents_[key];
  window.ns = ns;
  window.id = id;
  return window;
}

// Records beyond what the journal holds that are not noted yet.
Status Redo::note_records() {
  auto origins = outbox_.origins();
  if (!origins) return tl::unexpected(origins.error());
  const VersionVector journaled = site_.state.journaled();
  for (const Origin& origin : *origins) {
    Hlc after = journaled.get(origin);
    while (true) {
      auto entries = outbox_.read_entries(origin, after, kHlcMax, kReadBytes);
      if (!entries) return tl::unexpected(entries.error());
      if (entries->empty()) break;
      after = entries->back().first;
      for (const auto& [stamp, bytes] : *entries) {
        const Dot dot{stamp, origin};
        if (noted_.count(dot) > 0 || site_.quarantine.holds(dot)) continue;
        auto record = records_.take(dot, bytes);
        if (!record) return tl::unexpected(record.error());
        noted_.insert(dot);
        for (size_t i = 0; i < (*record)->documents.size(); ++i) {
          const DocumentEffects& effects = (*record)->documents[i];
          note(effects.ns, effects.id).places.push_back({dot, i, bytes.size()});
        }
      }
    }
  }
  return {};
}

Status Redo::note_prepared() {
  auto prepares = outbox_.scan_prepares();
  if (!prepares) return tl::unexpected(prepares.error());
  for (const auto& [stamp, bytes] : *prepares) {
    auto prepare = decode_prepare(bytes);
    if (!prepare) return tl::unexpected(prepare.error());
    for (const PreparedDocument& document : prepare->documents) note(document.ns, document.id);
  }
  return {};
}

// ---- doing it

Status Redo::put_back(Store& store, const RowKeys& which, Extent extent) {
  if (Status finished = finish_interrupted(store); !finished) return finished;
  if (Status noted = note_records(); !noted) return noted;
  std::vector<std::string> keys, collections;
  for (const std::string& key : due_) {
    if (!which(key)) continue;
    keys.push_back(key);
    if (documents_.at(key).ns == kCatalogNs) collections.push_back(key);
  }
  auto met = put_all(store, keys, extent.may_stop);
  // What stood in the way may have been written since; a collection goes once it holds nothing.
  if (met) met->insert(met->end(), collections.begin(), collections.end());
  if (met && !met->empty()) met = put_all(store, *met, extent.may_stop);
  if (!met) return tl::unexpected(met.error());
  if (met->empty() || (!extent.all && met->size() < due_.size())) return {};
  if (Status whole = write_whole(store, *met); !whole) return whole;
  // For those that are set aside, whom that may have made room for.
  auto again = put_all(store, *met, extent.may_stop);
  if (!again) return tl::unexpected(again.error());
  for (const std::string& key : *met) due_.erase(key);
  return {};
}

// By namespace, and in the order of their first records, so that what one record bore is looked at
// together.
Result<std::vector<std::string>> Redo::put_all(Store& store, std::vector<std::string> keys,
                                               bool may_stop) {
  const auto place = [this](const std::string& key) {
    const Window& window = documents_.at(key);
    // A collection is made before what it holds, as what it is.
    return std::tuple(window.ns != kCatalogNs, std::string_view(window.ns),
                      window.places.empty() ? Dot() : window.places.front().dot);
  };
  std::stable_sort(keys.begin(), keys.end(),
                   [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  std::vector<std::string> met;
  for (size_t begin = 0, end = 0; begin < keys.size(); begin = end) {
    if (may_stop && is_stopping_()) {
      return fail(ErrorCode::kClosed, "put back what the store forgot", "", "stopped");
    }
    end = end_of_some(documents_, keys, begin);
    auto some = put_some(store, std::span(keys).subspan(begin, end - begin));
    if (!some) return some;
    for (size_t i = begin; i < end; ++i) {
      const bool waits = std::find(some->begin(), some->end(), keys[i]) != some->end();
      if (!waits) due_.erase(keys[i]);
    }
    std::move(some->begin(), some->end(), std::back_inserter(met));
  }
  return met;
}

Result<std::optional<Redo::Wanted>> Redo::wanted(const std::string& key,
                                                 const std::optional<std::string>& stored,
                                                 outbox::Batch& lost) {
  const Window& window = documents_.at(key);
  auto document = records_.document(window.places);
  if (!document) return tl::unexpected(document.error());
  if (document->forgotten.empty() || site_.aside.is_parked(key)) return std::optional<Wanted>();
  const auto gone = gone_with_series(outbox_, window.ns, *document->forgotten.front().record);
  if (!gone) return tl::unexpected(gone.error());
  if (*gone || (!stored && evicted_.has(window.ns, made_by(document->forgotten)))) {
    return std::optional<Wanted>();
  }
  auto row = outbox_.row(window.ns, bson::canonical_key(window.id.view()));
  if (!row) return tl::unexpected(row.error());
  auto back = after_crash(site_.context.self.site, *row ? std::string_view(**row) : "",
                          document->forgotten, stored);
  if (!back) return tl::unexpected(back.error());
  if (!*back) return std::optional<Wanted>();
  if (Status noted = note_lost(document->forgotten, **back, stored, lost); !noted) {
    return tl::unexpected(noted.error());
  }
  if (!(*back)->write) return std::optional<Wanted>();
  return std::optional(
      Wanted{key, std::move(*(*back)->write), std::move((*back)->document), (*back)->is_set_aside});
}

// Of documents of one namespace, those that are not as they are to be. Each is shown by itself, as
// they may be large.
Result<std::vector<Redo::Wanted>> Redo::wanted(Store& store, std::span<const std::string> keys) {
  std::vector<Wanted> all;
  std::vector<const std::string*> names;
  std::vector<bson::OwnedValue> ids;
  for (const std::string& key : keys) {
    const Window& window = documents_.at(key);
    if (window.places.empty()) continue;
    names.push_back(&key);
    ids.push_back(window.id);
  }
  if (names.empty()) return all;
  const std::string& ns = documents_.at(*names.front()).ns;
  const auto made = [this](const std::string& key) -> Result<Dot> {
    const auto window = documents_.find(key);
    if (window == documents_.end()) return Dot();
    const auto document = records_.document(window->second.places);
    if (!document) return tl::unexpected(document.error());
    return made_by(document->forgotten);
  };
  if (Status known = evicted_.look(store, ns, made); !known) return tl::unexpected(known.error());
  outbox::Batch lost;
  Status judged;
  std::vector<bool> is_seen(names.size());
  std::vector<std::optional<Wanted>> found(names.size());
  const auto judge = [&](size_t i, const std::optional<std::string>& stored) {
    is_seen[i] = true;
    if (!judged) return;
    auto one = wanted(*names[i], stored, lost);
    if (one) found[i] = std::move(*one);
    if (!one) judged = tl::unexpected(one.error());
  };
  const Status looked = store.look(
      ns, ids, std::nullopt,
      [&](size_t i, const bson::Document& document) { judge(i, std::string(document.bytes())); });
  if (!looked) {
    if (looked.error().code == ErrorCode::kInvalidArgument) return all;  // none can be there
    return tl::unexpected(looked.error());
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (!is_seen[i]) judge(i, std::nullopt);
    if (found[i]) all.push_back(std::move(*found[i]));
  }
  if (!judged) return tl::unexpected(judged.error());
  if (lost.empty()) return all;
  if (Status written = outbox_.write(std::move(lost)); !written) {
    return tl::unexpected(written.error());
  }
  if (Status synced = sync_now(commit_); !synced) return tl::unexpected(synced.error());
  return all;
}

Status Redo::note_lost(std::span<const Forgotten> forgotten, const AfterCrash& back,
                       const std::optional<std::string>& stored, outbox::Batch& batch) {
  if (back.is_taken_away) return note_once(missing(forgotten), batch);
  if (!back.write) return {};
  for (const LedgerEntry& entry :
       unexplained(site_.context.self.site, forgotten, *back.write, stored)) {
    if (Status noted = note_once(entry, batch); !noted) return noted;
  }
  return {};
}

// Also in the log, however often it is found.
Status Redo::note_once(const LedgerEntry& entry, outbox::Batch& batch) {
  auto known = outbox_.ledger(ledger_key(entry));
  if (!known) return tl::unexpected(known.error());
  if (*known) return {};
  if (options_.warn) {
    options_.warn("of " + entry.ns + " " + bson::to_json(entry.id.view(), 100) + " " +
                  entry.reason + " (" + entry.kind + " in the ledger)");
  }
  return put_once(outbox_, site_.ledger, batch, entry);
}

Result<std::vector<std::string>> Redo::put_some(Store& store, std::span<const std::string> keys) {
  std::vector<std::string> met;
  auto all = wanted(store, keys);
  if (!all) return tl::unexpected(all.error());
  if (all->empty()) return met;
  std::vector<StoreWrite> writes;
  for (Wanted& each : *all) writes.push_back(std::move(each.write));
  auto outcomes = store.apply(writes);
  if (!outcomes) return tl::unexpected(outcomes.error());
  if (Status same = still(store); !same) return tl::unexpected(same.error());
  std::vector<std::string> refused;
  for (size_t i = 0; i < writes.size(); ++i) {
    const WriteOutcome& outcome = (*outcomes)[i];
    if (outcome.ok()) ++put_back_;
    if (outcome.ok()) continue;
    const bool has_met = outcome.code == kDuplicateKey;
    if (!has_met && (*all)[i].is_set_aside) continue;
    (has_met ? met : refused).push_back((*all)[i].key);
  }
  if (refused.empty()) return met;
  if (Status whole = write_whole(store, refused); !whole) return tl::unexpected(whole.error());
  return met;
}

// Documents that stand in each other's way go first, then they are made as they are to be. What is
// taken away is on disk before. What the store refuses in the end is set aside, as of a peer's
// record.
Status Redo::write_whole(Store& store, const std::vector<std::string>& keys) {
  ApplyWork work;
  work.intent_key = meta_keys::kRedoIntent;
  std::vector<StoreWrite> made;
  for (const std::string& key : keys) {
    auto all = wanted(store, std::span(&key, 1));
    if (!all) return tl::unexpected(all.error());
    for (Wanted& each : *all) {
      if (each.is_set_aside) continue;  // so it stays
      if (each.write.ns != kCatalogNs) {
        work.intent.writes.push_back(whole_write(each.write.ns, each.write.id, std::nullopt));
      }
      made.push_back(whole_write(each.write.ns, each.write.id, each.document));
    }
  }
  if (made.empty()) return {};
  put_back_ += made.size();
  std::move(made.begin(), made.end(), std::back_inserter(work.intent.writes));
  if (Status noted = committer_.commit_intent(work); !noted) return noted;
  may_be_interrupted_ = true;
  return finish_interrupted(store);
}

Status Redo::finish_interrupted(Store& store) {
  if (!may_be_interrupted_) return {};
  auto work = committer_.interrupted(meta_keys::kRedoIntent);
  if (!work) return tl::unexpected(work.error());
  if (*work) {
    ApplyWriter writer(store);
    if (Status stored = writer.write((*work)->intent.writes, (*work)->progress); !stored) {
      return stored;
    }
    if (Status completed = committer_.complete(**work); !completed) return completed;
  }
  may_be_interrupted_ = false;
  return {};
}

Status Redo::finish() {
  outbox::Batch batch;
  batch.put_meta(meta_keys::kStoreProcess, process_);
  if (Status written = outbox_.write(std::move(batch)); !written) return written;
  if (Status synced = sync_now(commit_); !synced) return synced;
  served_.serve(process_);
  is_due_ = false;
  documents_.clear();
  noted_.clear();
  records_.clear();
  evicted_.clear();
  return {};
}

}  // namespace outrigger
