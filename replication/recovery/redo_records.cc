#include "replication/recovery/redo_records.h"

#include <algorithm>
#include <utility>

#include "replication/record/record_codec.h"

namespace outrigger {

Result<std::shared_ptr<const Record>> RedoRecords::take(const Dot& dot, std::string_view bytes) {
  auto decoded = decode_record(bytes);
  if (!decoded) return tl::unexpected(decoded.error());
  auto record = std::make_shared<const Record>(std::move(*decoded));
  while (!oldest_.empty() && bytes_ + bytes.size() > kBytesMax) {
    const auto gone = kept_.find(oldest_.front());
    bytes_ -= gone->second.bytes;
    kept_.erase(gone);
    oldest_.pop_front();
  }
  kept_.emplace(dot, Kept{record, bytes.size()});
  oldest_.push_back(dot);
  bytes_ += bytes.size();
  return record;
}

Result<std::shared_ptr<const Record>> RedoRecords::get(const Dot& dot) {
  if (const auto known = kept_.find(dot); known != kept_.end()) return known->second.record;
  auto bytes = outbox_.entry(dot.origin, dot.hlc);
  if (!bytes) return tl::unexpected(bytes.error());
  if (*bytes) return take(dot, **bytes);
  return std::shared_ptr<const Record>();
}

Result<RedoRecords::Document> RedoRecords::document(const std::vector<Place>& places) {
  Document out;
  for (const Place& place : places) {
    auto record = get(place.dot);
    if (!record) return tl::unexpected(record.error());
    if (!*record) continue;
    if (place.index >= (*record)->documents.size()) {
      return fail(ErrorCode::kCorrupt, "read outbox", to_text(place.dot),
                  "the record has changed since it was read");
    }
    out.forgotten.push_back({record->get(), &(*record)->documents[place.index]});
    out.records.push_back(std::move(*record));
  }
  // What one record removes and makes again has one dot: its order is that of the record.
  std::stable_sort(out.forgotten.begin(), out.forgotten.end(),
                   [](const Forgotten& a, const Forgotten& b) { return a.dot() < b.dot(); });
  return out;
}

void RedoRecords::clear() {
  kept_.clear();
  oldest_.clear();
  bytes_ = 0;
}

}  // namespace outrigger
