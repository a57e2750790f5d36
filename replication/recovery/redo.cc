#include "replication/recovery/redo.h"

#include <algorithm>
#include <utility>

#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_writer.h"
#include "replication/record/record_codec.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kReadBytes = 1u << 20;  // of records at once
constexpr size_t kDocumentsAtOnce = 16;  // each may be large
constexpr int32_t kDuplicateKey = 11000;

}  // namespace

// ---- what there is to do

Status Redo::look(Store& store) {
  if (Status alive = store.ping(); !alive) return alive;
  const std::string process = store.process_id();
  if (served_.process().empty()) {
    if (Status learned = learn_served(process); !learned) return learned;
  }
  if (served_.is(process)) {
    is_due_ = false;
    return {};
  }
  if (is_due_ && process == process_) return {};
  documents_.clear();
  due_.clear();
  noted_.clear();
  records_.clear();
  if (Status noted = note_records(); !noted) return noted;
  if (Status noted = note_prepared(); !noted) return noted;
  process_ = process;
  is_due_ = true;
  return {};
}

// What an earlier run of this program served. Nothing: there is nothing of its own to put back.
Status Redo::learn_served(const std::string& process) {
  auto noted = outbox_.meta(meta_keys::kStoreProcess);
  if (!noted) return tl::unexpected(noted.error());
  if (*noted) {
    served_.serve(**noted);
    return {};
  }
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

// Records of this site beyond what the journal holds that are not noted yet.
Status Redo::note_records() {
  auto origins = outbox_.origins();
  if (!origins) return tl::unexpected(origins.error());
  const VersionVector journaled = site_.state.journaled();
  for (const Origin& origin : *origins) {
    if (origin.site != site_.context.self.site) continue;
    Hlc after = journaled.get(origin);
    while (true) {
      auto entries = outbox_.read_entries(origin, after, kHlcMax, kReadBytes);
      if (!entries) return tl::unexpected(entries.error());
      if (entries->empty()) break;
      after = entries->back().first;
      for (const auto& [stamp, bytes] : *entries) {
        if (!noted_.insert(Dot{stamp, origin}).second) continue;
        auto record = decode_record(bytes);
        if (!record) return tl::unexpected(record.error());
        records_.push_back(std::make_unique<const Record>(std::move(*record)));
        for (const DocumentEffects& effects : records_.back()->documents) {
          note(effects.ns, effects.id).forgotten.push_back({records_.back()->dot(), &effects});
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

Status Redo::put_back(Store& store, const RowKeys& which) {
  if (Status finished = finish_interrupted(store); !finished) return finished;
  if (Status noted = note_records(); !noted) return noted;
  std::map<std::string, std::vector<std::string>> by_namespace;
  for (const std::string& key : due_) {
    if (which(key)) by_namespace[documents_.at(key).ns].push_back(key);
  }
  for (const auto& [ns, keys] : by_namespace) {
    for (size_t at = 0; at < keys.size(); at += kDocumentsAtOnce) {
      const std::vector<std::string> some(
          keys.begin() + static_cast<std::ptrdiff_t>(at),
          keys.begin() + static_cast<std::ptrdiff_t>(std::min(at + kDocumentsAtOnce, keys.size())));
      if (Status put = put_some(store, some); !put) return put;
      for (const std::string& key : some) due_.erase(key);
    }
  }
  return {};
}

// Documents of one namespace.
Status Redo::put_some(Store& store, const std::vector<std::string>& keys) {
  std::vector<Window*> windows;
  std::vector<bson::OwnedValue> ids;
  for (const std::string& key : keys) {
    Window& window = documents_.at(key);
    if (window.forgotten.empty()) continue;
    std::sort(window.forgotten.begin(), window.forgotten.end(),
              [](const Forgotten& a, const Forgotten& b) { return a.dot < b.dot; });
    windows.push_back(&window);
    ids.push_back(window.id);
  }
  if (windows.empty()) return {};
  auto stored = store.read(windows.front()->ns, ids);
  if (!stored && stored.error().code == ErrorCode::kInvalidArgument)
    return {};  // none can be there
  if (!stored) return tl::unexpected(stored.error());
  std::vector<StoreWrite> writes;
  std::vector<std::optional<std::string>> documents;
  for (size_t i = 0; i < windows.size(); ++i) {
    const Window& window = *windows[i];
    auto row = outbox_.row(window.ns, bson::canonical_key(window.id.view()));
    if (!row) return tl::unexpected(row.error());
    auto back = outrigger::put_back(*row ? std::string_view(**row) : std::string_view(),
                                    window.forgotten, (*stored)[i]);
    if (!back) return tl::unexpected(back.error());
    if (!*back || !(*back)->write) continue;
    writes.push_back(std::move(*(*back)->write));
    documents.push_back(std::move((*back)->document));
  }
  return write(store, writes, documents);
}

Status Redo::write(Store& store, const std::vector<StoreWrite>& writes,
                   const std::vector<std::optional<std::string>>& documents) {
  if (writes.empty()) return {};
  auto outcomes = store.apply(writes);
  if (!outcomes) return tl::unexpected(outcomes.error());
  if (store.process_id() != process_) {
    return fail(ErrorCode::kUnavailable, "put back what the store forgot", "",
                "it came back once more", "it is tried again");
  }
  put_back_ += writes.size();
  // Values under a unique index may have moved from one document to another. Those go first, then
  // they are made as they are to be.
  std::vector<StoreWrite> gone;
  std::vector<StoreWrite> made;
  for (size_t i = 0; i < writes.size(); ++i) {
    const WriteOutcome& outcome = (*outcomes)[i];
    if (outcome.ok()) continue;
    if (outcome.code == kDuplicateKey) {
      gone.push_back(whole_write(writes[i].ns, writes[i].id, std::nullopt));
    }
    made.push_back(whole_write(writes[i].ns, writes[i].id, documents[i]));
  }
  if (made.empty()) return {};
  std::move(made.begin(), made.end(), std::back_inserter(gone));
  return write_whole(store, std::move(gone));
}

// What is taken away is on disk before. What the store refuses in the end is set aside, as of a
// peer's record.
Status Redo::write_whole(Store& store, std::vector<StoreWrite> writes) {
  ApplyWork work;
  work.intent_key = meta_keys::kRedoIntent;
  work.intent.writes = std::move(writes);
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
  return {};
}

}  // namespace outrigger
