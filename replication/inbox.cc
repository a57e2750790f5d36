#include "replication/inbox.h"

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

}  // namespace

size_t memory_bytes(const Record& record) {
  size_t bytes = sizeof record + record.deps.entries().size() * sizeof(VersionVector::Entry);
  for (const DocumentEffects& document : record.documents) {
    bytes += sizeof document + document.ns.size() + document.id.bytes.size();
    for (const Effect& effect : document.effects) {
      bytes += sizeof effect + effect.value.bytes.size();
      for (const std::string& name : effect.path) bytes += sizeof name + name.size();
      bytes += effect.baseline.size() * sizeof(CounterEntry);
    }
  }
  return bytes;
}

Result<size_t> Inbox::offer(Segment segment, Hlc applied) {
  if (Status sane = check_records(segment); !sane) return tl::unexpected(sane.error());
  const auto found = queues_.find(segment.origin);
  const bool waiting = found != queues_.end() && !found->second.empty();
  const Hlc known = std::max(applied, waiting ? found->second.back().through : 0);
  if (segment.through <= known) return segment.records.size();
  if (segment.after > known) {
    return fail(ErrorCode::kRefused, "take segment", to_text(segment.origin),
                "it starts beyond what is known here");
  }
  const auto fresh = std::find_if(segment.records.begin(), segment.records.end(),
                                  [&](const Record& record) { return record.hlc > known; });
  const auto duplicates = static_cast<size_t>(fresh - segment.records.begin());
  std::vector<Item> items;
  size_t bytes = 0;
  for (auto record = fresh; record != segment.records.end(); ++record) {
    Item item;
    item.through = record->hlc;
    item.bytes = memory_bytes(*record);
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
  if (items.empty() || items.back().through < segment.through) {
    items.push_back(Item{segment.through, nullptr, 0});
  }
  std::deque<Item>& queue = queues_[segment.origin];
  if (!queue.empty() && !queue.back().record && !items.front().record) queue.pop_back();
  for (Item& item : items) queue.push_back(std::move(item));
  return duplicates;
}

void Inbox::drop_applied(const VersionVector& applied) {
  for (auto at = queues_.begin(); at != queues_.end();) {
    std::deque<Item>& queue = at->second;
    const Hlc through = applied.get(at->first);
    while (!queue.empty() && queue.front().through <= through) {
      if (queue.front().record) --records_;
      bytes_ -= queue.front().bytes;
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
    return !hold(item.through) && (!item.record || depends_only_on(*item.record, vector));
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
    if (item.record) {
      documents += item.record->documents.size();
      bytes += item.bytes;
      const bool full = documents > limits.documents_max || bytes > limits.bytes_max;
      if (full && !delivery.records.empty()) return delivery;
      if (!take(*item.record)) {
        documents -= item.record->documents.size();
        bytes -= item.bytes;
        delivery.refused.push_back(best->origin);
        best->next = best->items->size();
        continue;
      }
      delivery.records.push_back(item.record);
    }
    vector.raise(best->origin, item.through);
    delivery.after.raise(best->origin, item.through);
    ++best->next;
  }
}

}  // namespace outrigger
