#include "replication/site/state/inbox.h"

#include <algorithm>
#include <set>
#include <utility>

namespace outrigger {
namespace {

Status check_records(const Segment& segment) {
  Hlc last = segment.after;
  for (const Record& record : segment.records) {
    if (record.origin != segment.origin || record.hlc <= last || record.hlc > segment.through) {
      return fail(ErrorCode::kCorrupt, "take segment", to_text(segment.origin),
                  "its records are not those its bounds promise");
    }
    last = record.hlc;
  }
  return {};
}

bool depends_only_on(const Record& record, const VersionVector& vector) {
  for (const auto& [origin, hlc] : record.deps.entries()) {
    if (origin != record.origin && vector.get(origin) < hlc) return false;
  }
  return true;
}

// Retiring forgets epochs: all of them must be here to their ends, and none beside them.
std::string wrong_with_retiring(const Record& record, const VersionVector& vector) {
  if (record.retired.empty()) return {};
  if (!vector.includes(record.retired)) return "it retires what has not been applied here";
  const Hlc mark = watermark_of(record);
  for (const auto& [origin, hlc] : vector.entries()) {
    if (origin.site != record.origin.site || origin.epoch == kRetired) continue;
    if (hlc <= mark && record.retired.at(origin) != hlc) {
      return "it retires an epoch that it does not name";
    }
  }
  return {};
}

// Everything up to this record is applied, or passed over when it is not `good`.
void raise_by(VersionVector& vector, const Record& record, bool good) {
  vector.raise(record.origin, record.hlc);
  const Hlc mark = good ? watermark_of(record) : 0;
  vector.raise(VersionVector::retired_of(record.origin.site), mark);
}

}  // namespace

Hlc watermark_of(const Record& record) {
  Hlc mark = 0;
  for (const auto& [origin, hlc] : record.retired.entries()) mark = std::max(mark, hlc);
  return mark;
}

size_t memory_bytes(const Record& record) {
  size_t bytes = sizeof record + record.rules.size() +
                 record.deps.entries().size() * sizeof(VersionVector::Entry);
  for (const DocumentEffects& document : record.documents) {
    bytes += sizeof document + document.ns.size() + document.id.bytes.size();
    for (const Effect& effect : document.effects) {
      bytes += sizeof effect + effect.value.bytes.size();
      for (const std::string& name : effect.path) bytes += sizeof name + name.size();
      for (const Baseline& seen : effect.baselines) {
        bytes += sizeof seen + seen.entries.size() * sizeof(CounterEntry);
      }
    }
  }
  return bytes;
}

namespace {

// The stamp of the last record in a queue, 0 when it holds promises only.
Hlc last_record(const std::deque<Inbox::Item>& queue) {
  const auto last = std::find_if(queue.rbegin(), queue.rend(),
                                 [](const Inbox::Item& item) { return item.record != nullptr; });
  return last == queue.rend() ? 0 : last->through;
}

bool has_record(const std::deque<Inbox::Item>& queue, Hlc stamp) {
  return std::any_of(queue.begin(), queue.end(),
                     [&](const Inbox::Item& item) { return item.record && item.through == stamp; });
}

// Why the records of `segment` up to `known`, the last one here, are not the ones we have.
std::string mismatch(const Segment& segment, Hlc known, size_t duplicates,
                     const std::function<bool(Hlc)>& holds) {
  if (segment.after == known) return {};
  const Hlc last = duplicates == 0 ? segment.after : segment.records[duplicates - 1].hlc;
  const bool goes_on = duplicates < segment.records.size() || duplicates == 0;
  const bool same = goes_on ? last == known : last == known || holds(last);
  if (same) return {};
  return "records of " + to_text(segment.origin) + " do not follow the last one here: after " +
         to_text(Dot{known, segment.origin}) + " comes one that follows " +
         to_text(Dot{last, segment.origin});
}

}  // namespace

Result<Inbox::Taken> Inbox::offer(Segment segment, Hlc applied, Word word,
                                  const std::function<bool(Hlc)>& holds,
                                  const std::function<std::string(const Record&)>& check) {
  if (Status sane = check_records(segment); !sane) return tl::unexpected(sane.error());
  const auto found = queues_.find(segment.origin);
  const bool waiting = found != queues_.end() && !found->second.empty();
  const Hlc queued = waiting ? last_record(found->second) : 0;
  const Hlc known = std::max(applied, queued);
  const auto fresh = std::find_if(segment.records.begin(), segment.records.end(),
                                  [&](const Record& record) { return record.hlc > known; });
  Taken taken;
  taken.duplicates = static_cast<size_t>(fresh - segment.records.begin());
  if (segment.after > known) {
    if (segment.records.empty()) return taken;  // a promise about records that are still to come
    return fail(ErrorCode::kRefused, "take segment", to_text(segment.origin),
                "it starts beyond what is known here");
  }
  taken.mismatch = mismatch(segment, known, taken.duplicates, [&](Hlc stamp) {
    return (waiting && has_record(found->second, stamp)) || holds(stamp);
  });
  const bool stale = segment.records.empty() && segment.after != known;
  // About a record here that it does not know, only the site itself can be sure.
  if (stale && (word != Word::kOwn || segment.through < known)) return Taken();
  if (!taken.mismatch.empty()) return Taken{0, false, std::move(taken.mismatch)};
  const Hlc follows = segment.records.empty() ? segment.after : segment.records.back().hlc;
  std::vector<Item> items;
  size_t bytes = 0;
  for (auto record = fresh; record != segment.records.end(); ++record) {
    Item item;
    item.through = record->hlc;
    item.bytes = memory_bytes(*record);
    item.wrong = check(*record);
    item.record = std::make_shared<const Record>(std::move(*record));
    bytes += item.bytes;
    items.push_back(std::move(item));
  }
  if (waiting && bytes_ + bytes > bytes_max_ && bytes > 0) {
    return fail(ErrorCode::kUnavailable, "take segment", to_text(segment.origin),
                "the inbox is full");
  }
  records_ += items.size();
  bytes_ += bytes;
  const Hlc last = items.empty() ? known : items.back().through;
  const bool promises = word != Word::kNone && segment.through > last && follows == last;
  if (promises) items.push_back(Item{segment.through, nullptr, 0, word, {}});
  taken.fresh = !items.empty();
  if (items.empty()) return taken;
  std::deque<Item>& queue = queues_[segment.origin];
  if (!queue.empty() && !queue.back().record && !items.front().record) queue.pop_back();
  for (Item& item : items) queue.push_back(std::move(item));
  return taken;
}

void Inbox::drop_applied(const VersionVector& applied, const std::vector<Promised>& taken) {
  // By whose word: a site's own may have come in place of hearsay that was on its way.
  std::map<Word, VersionVector> promised;
  for (const Promised& each : taken) promised[each.word].raise(each.origin, each.through);
  for (auto at = queues_.begin(); at != queues_.end();) {
    std::deque<Item>& queue = at->second;
    const Hlc record_through = applied.get(at->first);
    while (!queue.empty()) {
      const Item& front = queue.front();
      if (front.through > (front.record ? record_through : promised[front.word].at(at->first))) {
        break;
      }
      if (front.record) --records_;
      bytes_ -= front.bytes;
      queue.pop_front();
    }
    at = queue.empty() ? queues_.erase(at) : std::next(at);
  }
}

std::map<Origin, std::vector<Inbox::Item>> Inbox::front(size_t records_max) const {
  std::map<Origin, std::vector<Item>> result;
  for (const auto& [origin, queue] : queues_) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(queue.size(), records_max));
    result[origin].assign(queue.begin(), queue.begin() + count);
  }
  return result;
}

Delivery deliver(const std::map<Origin, std::vector<Inbox::Item>>& front, VersionVector vector,
                 const DeliveryLimits& limits, const std::function<bool(Hlc)>& hold,
                 const std::function<bool(const Record&)>& take) {
  struct Cursor {
    Origin origin;
    const std::vector<Inbox::Item>* items;
    size_t next = 0;
  };
  std::vector<Cursor> cursors;
  for (const auto& [origin, items] : front) cursors.push_back(Cursor{origin, &items});
  const auto ready = [&](const Cursor& cursor) {
    if (cursor.next == cursor.items->size()) return false;
    const Inbox::Item& item = (*cursor.items)[cursor.next];
    if (hold(item.through)) return false;
    // What is passed over waits for nothing.
    return !item.record || !item.wrong.empty() || depends_only_on(*item.record, vector);
  };
  Delivery delivery;
  size_t documents = 0;
  size_t bytes = 0;
  while (true) {
    Cursor* best = nullptr;
    for (Cursor& cursor : cursors) {
      if (!ready(cursor)) continue;
      const Hlc stamp = (*cursor.items)[cursor.next].through;
      if (best == nullptr || stamp < (*best->items)[best->next].through) best = &cursor;
    }
    if (best == nullptr) return delivery;
    const Inbox::Item& item = (*best->items)[best->next];
    if (!item.record) {
      delivery.promised.push_back({best->origin, item.through, item.word});
      ++best->next;
      continue;
    }
    const Record& record = *item.record;
    const std::string wrong = item.wrong.empty() ? wrong_with_retiring(record, vector) : item.wrong;
    if (wrong.empty()) {
      documents += record.documents.size();
      bytes += item.bytes;
      const bool full = documents > limits.documents_max || bytes > limits.bytes_max;
      if (full && !delivery.records.empty()) return delivery;
      if (!take(record)) {
        documents -= record.documents.size();
        bytes -= item.bytes;
        delivery.refused.push_back(best->origin);
        best->next = best->items->size();
        continue;
      }
      delivery.records.push_back(item.record);
    } else if (delivery.wrong.size() < limits.wrong_max) {
      delivery.wrong.emplace_back(item.record, wrong);
    } else {
      delivery.overfull.push_back(best->origin);
      best->next = best->items->size();
      continue;
    }
    for (VersionVector* each : {&vector, &delivery.after}) raise_by(*each, record, wrong.empty());
    ++best->next;
  }
}

}  // namespace outrigger
