#include "replication/apply/apply_gatherer.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "config/limits.h"
#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_notes.h"
#include "replication/apply/apply_unread.h"
#include "replication/merge/merge.h"
#include "replication/record/catalog.h"
#include "replication/record/record_codec.h"
#include "replication/series/measurement.h"
#include "replication/site/site_parts.h"

namespace outrigger {

constexpr size_t kCorrectionsAtOnce = 64;

Status is_admitted(Store& store, const ApplierOptions& options) {
  if (Status alive = store.ping(); !alive) return alive;
  if (options.admits(store.process_id())) return {};
  return fail(ErrorCode::kUnavailable, "use the store", "",
              "it was started anew, and what it forgot is being put back", "it is tried again");
}

Result<ApplyWork> ApplyGatherer::gather() {
  ApplyWork work;
  while (true) {
    const Status filled = fill(work);
    if (filled && !work.empty() && !too_much(work)) break;
    forget(work);
    if (!filled) return tl::unexpected(filled.error());
    if (work.empty()) return work;
    documents_max_ = std::max<size_t>(1, std::min(documents_max_, work.documents.size()) / 2);
    work = ApplyWork();
  }
  // Not to be too much again next time: who is in line would lose the place with each such batch.
  if (work.bytes <= options_.stored_bytes_max / 2) {
    documents_max_ = std::min(options_.batch.documents_max, documents_max_ * 2);
  }
  return work;
}

// Records, documents and what becomes of them.
Status ApplyGatherer::fill(ApplyWork& work) {
  Delivery delivery = take_delivery();
  note_held(site_.alarms, delivery.refused, delivery.overfull);
  work.records = std::move(delivery.records);
  work.intent.after = std::move(delivery.after);
  work.promised = std::move(delivery.promised);
  work.wrong = std::move(delivery.wrong);
  work.blocked = !delivery.refused.empty();
  if (Status retries = add_retries(work); !retries) return retries;
  add_corrections(work);
  if (Status released = add_released(work); !released) return released;
  if (work.empty()) return {};
  if (Status admitted = is_admitted(store_, options_); !admitted) return admitted;
  // What was set aside is older than what comes now.
  std::vector<std::shared_ptr<const Record>> records;
  for (const auto& [name, record] : work.released) records.push_back(record);
  records.insert(records.end(), work.records.begin(), work.records.end());
  add_touches(records, work.documents);
  if (Status rows = read_rows(work); !rows) return rows;
  if (too_much(work)) return {};
  if (Status merged = merge_all(work); !merged) return merged;
  end_corrections(work);
  return is_admitted(store_, options_);  // it was all of one run
}

Delivery ApplyGatherer::take_delivery() {
  SiteState::Front front = site_.state.front(documents_max_);
  locks_.keep_places_of(front.queues);
  if (front.queues.empty()) return {};
  const int64_t wall_ms_max = site_.context.clock.wall_ms() + site_.context.options.max_ahead_ms;
  DeliveryLimits batch = options_.batch;
  batch.documents_max = documents_max_;
  batch.wrong_max =
      limits::kQuarantinedMax - std::min(limits::kQuarantinedMax, site_.quarantine.size());
  return deliver(
      front.queues, std::move(front.delivered), batch,
      [&](Hlc stamp) { return hlc_ms(stamp) > wall_ms_max; },
      [&](const Record& record) { return locks_.take(record); });
}

// Documents set aside whose time has come again. The ledger holds their _id as it was.
Status ApplyGatherer::add_retries(ApplyWork& work) {
  for (const auto& [key, aside] : site_.aside.due()) {
    if (work.documents.size() >= std::min(documents_max_, options_.try_aside_documents)) break;
    if (!has_room(work)) break;
    auto entry = outbox_.ledger(aside.ledger_key);
    if (!entry) return tl::unexpected(entry.error());
    if (!*entry) continue;
    auto known = decode_ledger(**entry);
    if (!known) return tl::unexpected(known.error());
    ApplyDocument document;
    document.ns = known->ns;
    document.id = known->id;
    document.canonical_id = bson::canonical_key(known->id.view());
    if (!locks_.take(document.ns, document.id.view())) continue;
    site_.aside.taken(key);
    work.documents.emplace(key, std::move(document));
  }
  return {};
}

// Documents to be corrected: nothing touches them, so they become what their rows say. What is set
// aside is so when it comes back; it keeps no turn until then, which would hold its locks.
void ApplyGatherer::add_corrections(ApplyWork& work) {
  const Corrections::Store store = store_known();
  auto due = site_.corrections.due(corrections_cursor_, kCorrectionsAtOnce, store);
  if (due.empty()) due = site_.corrections.due("", kCorrectionsAtOnce, store);
  corrections_cursor_ = due.empty() ? std::string() : due.rbegin()->first;
  const std::string waiting = locks_.turn_of();
  auto next = site_.corrections.find(waiting, store);
  if (next.empty()) locks_.leave_turn();
  due.merge(next);
  for (auto& [key, id] : due) {
    if (work.documents.size() >= documents_max_ || !has_room(work)) return locks_.leave_turn();
    if (site_.aside.find(key)) {
      if (key == waiting) locks_.leave_turn();
      continue;
    }
    ApplyDocument document;
    document.ns = key.substr(0, key.find('\0'));
    document.id = id;
    document.canonical_id = bson::canonical_key(id.view());
    if (!locks_.take_in_turn(key, {document.ns, document.id})) continue;
    work.corrected.push_back(key);
    if (site_.corrections.is_settled(key, store)) work.settled.push_back(key);
    work.documents.emplace(key, std::move(document));
  }
}

Corrections::Store ApplyGatherer::store_known() const {
  return {store_.process_id(), site_.state.journaled().get(site_.context.self)};
}

// What is to be written to it now is one more correction.
void ApplyGatherer::end_corrections(ApplyWork& work) const {
  std::erase_if(work.settled,
                [&](const std::string& key) { return !work.documents.at(key).writes.empty(); });
}

// Records set aside that somebody wants to be tried again.
Status ApplyGatherer::add_released(ApplyWork& work) {
  for (const auto& [name, ledger_key] : site_.quarantine.due()) {
    if (!has_room(work)) break;
    auto record = site_.quarantine.record(ledger_key);
    if (!record) return tl::unexpected(record.error());
    auto too_late = site_.quarantine.too_late_for((*record)->dot());
    if (!too_late) return tl::unexpected(too_late.error());
    if (too_late->empty() && !locks_.take_if_free(**record)) continue;
    site_.quarantine.taken(name);
    if (!too_late->empty()) continue;  // since somebody wanted it
    work.released.emplace(name, std::move(*record));
  }
  return {};
}

Status ApplyGatherer::read_rows(ApplyWork& work) {
  for (auto& [key, document] : work.documents) {
    auto row = outbox_.row(document.ns, document.canonical_id);
    if (!row) return tl::unexpected(row.error());
    document.row = std::move(*row);
    if (document.row) work.bytes += document.row->size();
    if (too_much(work)) break;
  }
  return {};
}

// Nothing is read that need not be (apply_unread.h). Those that need the same fields are read
// together, as long as they are not too many: each is read with the fields of all.
Status ApplyGatherer::merge_all(ApplyWork& work) {
  constexpr size_t kFieldsMax = 64;
  struct Group {
    std::vector<ApplyDocument*> documents;
    std::set<std::string> fields;
  };
  std::map<std::string, std::vector<ApplyDocument*>> born;
  std::map<std::string, std::vector<ApplyDocument*>> over;
  std::map<std::string, std::vector<ApplyDocument*>> whole;
  std::map<std::string, std::vector<Group>> in_part;
  // A record that was set aside may be in the log no more, where the intent says births are.
  const bool may_bear = work.released.empty();
  const std::set<std::string> corrected(work.corrected.begin(), work.corrected.end());
  for (auto& [key, document] : work.documents) {
    if (corrected.contains(key)) {  // whatever touches it, all of it is read
      whole[document.ns].push_back(&document);
      continue;
    }
    if (may_bear && is_only_born(document)) {
      born[document.ns].push_back(&document);
      continue;
    }
    auto overwritten = overwrite(document);
    if (!overwritten) return tl::unexpected(overwritten.error());
    if (*overwritten) {
      over[document.ns].push_back(&document);
      for (const auto& [position, write] : document.writes) work.bytes += memory_bytes(write);
      continue;
    }
    auto fields = fields_needed(document);
    if (!fields) return tl::unexpected(fields.error());
    if (!*fields) {
      whole[document.ns].push_back(&document);
      continue;
    }
    std::vector<Group>& groups = in_part[document.ns];
    if (groups.empty() || groups.back().fields.size() + (*fields)->size() > kFieldsMax) {
      groups.emplace_back();
    }
    groups.back().documents.push_back(&document);
    groups.back().fields.insert((*fields)->begin(), (*fields)->end());
  }
  for (const auto& [ns, documents] : born) {
    if (Status borne = bear_all(work, ns, documents); !borne) return borne;
  }
  for (const auto& [ns, documents] : over) {
    auto sample = is_there(ns, *documents.front());
    if (!sample) return tl::unexpected(sample.error());
  }
  for (const auto& [ns, groups] : in_part) {
    for (const Group& group : groups) {
      const std::vector<std::string> fields(group.fields.begin(), group.fields.end());
      if (Status merged = merge_some(work, ns, group.documents, fields); !merged) return merged;
    }
  }
  for (const auto& [ns, documents] : whole) {
    if (Status merged = merge_some(work, ns, documents, std::nullopt); !merged) return merged;
  }
  return leave_out_dropped(work);
}

// Has it gone with its time series, whose contents were dropped then? It has if its author had not
// heard of that. Of one that was set aside the record tells, as long as there is one. When all have
// it, who drops it later has heard of it.
static Result<bool> is_gone(const outbox::Outbox& outbox, const ApplyDocument& document,
                            const Dot& dropped) {
  if (!document.touches.empty()) return !document.touches.back().record->deps.covers(dropped);
  const auto state = merge::load_row(document.row ? std::string_view(*document.row) : "");
  if (!state) return tl::unexpected(state.error());
  if (state->incarnations.empty() || state->incarnations.back().births.empty()) return false;
  const Dot birth = state->incarnations.back().births.back();
  if (birth.hlc < dropped.hlc) return true;  // nobody hears of what is yet to be
  const auto bytes = outbox.entry(birth.origin, birth.hlc);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return false;
  const auto record = decode_record(**bytes);
  if (!record) return tl::unexpected(record.error());
  return !record->deps.covers(dropped);
}

// Measurements that have gone with their time series before they came, or in this batch.
Status ApplyGatherer::leave_out_dropped(ApplyWork& work) {
  std::map<std::string, Dot> dropped;  // by namespace
  for (auto& [key, document] : work.documents) {
    if (!series::holds_measurements(document.ns)) continue;
    const auto [at, is_new] = dropped.try_emplace(document.ns);
    if (is_new) {
      const std::string id =
          bson::canonical_key(bson::make_string(series::collection_of(document.ns)).view());
      const auto entry = work.documents.find(outbox::row_key(kCatalogNs, id));
      std::optional<std::string> row;
      if (entry != work.documents.end()) {
        row = entry->second.row_after;
      } else {
        auto read = outbox_.row(kCatalogNs, id);
        if (!read) return tl::unexpected(read.error());
        row = std::move(*read);
      }
      const auto when = contents_dropped(row);
      if (!when) return tl::unexpected(when.error());
      at->second = *when;
    }
    if (at->second.is_zero()) continue;
    const auto gone = is_gone(outbox_, document, at->second);
    if (!gone) return tl::unexpected(gone.error());
    if (!*gone) continue;
    document.writes.clear();
    document.row_after.clear();
  }
  return {};
}

// One of many that are not read is looked for all the same: nothing is written where nothing may be
// read.
Result<bool> ApplyGatherer::is_there(const std::string& ns, const ApplyDocument& document) {
  bool there = false;
  Status looked = store_.look(ns, std::span(&document.id, 1), std::vector<std::string>(),
                              [&](size_t, const bson::Document&) { there = true; });
  const bool none = !looked && looked.error().code == ErrorCode::kInvalidArgument;
  if (!looked && !none) return tl::unexpected(refused_to_read(store_, ns, looked.error()));
  return there;
}

// What is to be corrected, and nothing else, is not in the store: it was taken away around the
// sidecar, as by the monitor of TTL indexes. Nothing makes it again here from the little that its
// row has, and that others may have it still is not silent.
Status ApplyGatherer::leave_missing(ApplyWork& work, ApplyDocument& document,
                                    const std::string& key) const {
  document.writes.clear();
  document.lost.clear();
  document.row_after = document.row.value_or("");
  if (std::find(work.settled.begin(), work.settled.end(), key) == work.settled.end()) {
    work.settled.push_back(key);
  }
  const auto state = merge::load_row(document.row_after);
  if (!state) return tl::unexpected(state.error());
  if (document.row_after.empty() || state->incarnations.empty()) return {};
  document.lost.push_back(missing_entry(document.ns, document.id, site_.context.clock.wall_ms()));
  return {};
}

// Where one is there, others may be.
Status ApplyGatherer::bear_all(ApplyWork& work, const std::string& ns,
                               std::span<ApplyDocument* const> documents) {
  auto sample = is_there(ns, *documents.front());
  if (!sample) return tl::unexpected(sample.error());
  if (*sample) return merge_some(work, ns, documents, std::nullopt);
  for (ApplyDocument* document : documents) {
    bear(*document);
    work.bytes += memory_bytes(document->writes.front().second);
  }
  return {};
}

Status ApplyGatherer::merge_some(ApplyWork& work, const std::string& ns,
                                 std::span<ApplyDocument* const> documents,
                                 const std::optional<std::vector<std::string>>& fields) {
  std::vector<bson::OwnedValue> ids;
  for (const ApplyDocument* document : documents) ids.push_back(document->id);
  std::vector<bool> there(ids.size());
  std::vector<ApplyDocument*> again;
  Status result;
  const auto merge = [&](size_t index, const std::optional<bson::Document>& stored) {
    if (!result || too_much(work)) return;
    ApplyDocument& document = *documents[index];
    if (!stored && document.touches.empty()) {
      const std::string key = outbox::row_key(ns, document.canonical_id);
      const auto& corrected = work.corrected;
      if (std::find(corrected.begin(), corrected.end(), key) != corrected.end()) {
        result = leave_missing(work, document, key);
        return;
      }
    }
    // What is not there is known whole.
    auto merged = merge_document(document, stored, !fields || !stored);
    if (!merged) {
      result = tl::unexpected(merged.error());
    } else if (!*merged) {
      again.push_back(&document);
    }
    if (stored) work.bytes += stored->bytes().size();
    for (const auto& [position, write] : document.writes) work.bytes += memory_bytes(write);
  };
  Status looked = store_.look(ns, ids, fields, [&](size_t index, const bson::Document& stored) {
    there[index] = true;
    merge(index, stored);
  });
  // Where no document can be, none is: what writing them meets is a verdict on these alone.
  const bool none = !looked && looked.error().code == ErrorCode::kInvalidArgument;
  if (!looked && !none) return tl::unexpected(refused_to_read(store_, ns, looked.error()));
  for (size_t i = 0; i < there.size(); ++i) {
    if (!there[i]) merge(i, std::nullopt);
  }
  if (!result || again.empty()) return result;
  return merge_some(work, ns, again, std::nullopt);
}

// ---- what of memory a batch may take

// What cannot be less: one document, or those of one record.
bool ApplyGatherer::too_much(const ApplyWork& work) const {
  if (work.bytes <= options_.stored_bytes_max || work.documents.size() <= 1) return false;
  const bool one_record = work.records.size() + work.released.size() == 1;
  return !one_record || std::any_of(work.documents.begin(), work.documents.end(),
                                    [](const auto& each) { return each.second.touches.empty(); });
}

// Where memory was short, what is tried again must fit in beside the records.
bool ApplyGatherer::has_room(const ApplyWork& work) const {
  const bool short_of_memory = documents_max_ < options_.batch.documents_max || documents_max_ == 1;
  size_t documents = work.documents.size();
  for (const auto& record : work.records) documents += record->documents.size();
  for (const auto& [name, record] : work.released) documents += record->documents.size();
  return !short_of_memory || documents < documents_max_;
}

void ApplyGatherer::forget(const ApplyWork& work) {
  work.records.empty() ? locks_.release() : locks_.forget();
  for (const auto& [key, document] : work.documents) site_.aside.put_back(key);
  for (const auto& [name, record] : work.released) site_.quarantine.put_back(name);
}

}  // namespace outrigger
