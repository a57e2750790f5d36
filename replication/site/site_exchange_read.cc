// What a peer lacks, read from the log.
#include <algorithm>

#include "replication/record/record_codec.h"
#include "replication/site/site_exchange.h"

namespace outrigger {
namespace {

constexpr size_t kReadAheadBytes = 256 * 1024;
// From this size on a record is not decoded to be sent: it goes as it stands, alone.
constexpr size_t kWholeEntryBytesMin = 128 * 1024;

// One origin's log, read forward as the merge of all of them needs it.
class LogReader {
 public:
  // Records in (after, last], and a promise up to `through`.
  LogReader(const outbox::Outbox& outbox, const Origin& origin, Hlc after, Hlc last, Hlc through)
      : outbox_(outbox),
        last_(last),
        through_(through),
        read_(after),
        all_read_(after >= last),
        segment_{origin, after, after, {}} {}

  // The stamp of the next record, or nothing when the rest up to the limit is empty.
  Result<std::optional<Hlc>> peek() {
    if (next_ == entries_.size() && !all_read_) {
      auto entries = outbox_.read_entries(segment_.origin, read_, last_, kReadAheadBytes);
      if (!entries) return tl::unexpected(entries.error());
      entries_ = std::move(*entries);
      next_ = 0;
      if (!entries_.empty()) read_ = entries_.back().first;
      all_read_ = entries_.empty() || read_ >= last_;
    }
    if (at_end()) return std::optional<Hlc>();
    return std::optional<Hlc>(entries_[next_].first);
  }
  [[nodiscard]] size_t next_bytes() const { return entries_[next_].second.size(); }
  Status take() {
    RecordLimits limits;
    limits.checks_documents = false;
    auto record = decode_record(entries_[next_].second, limits);
    if (!record) return tl::unexpected(record.error());
    segment_.through = record->hlc;
    segment_.records.push_back(std::move(*record));
    ++next_;
    return {};
  }
  // The next record alone, as its bytes.
  Result<OutgoingBatch> take_whole() {
    const auto [stamp, entry] = std::move(entries_[next_]);
    ++next_;
    segment_.through = stamp;
    if (auto next = peek(); !next) return tl::unexpected(next.error());
    const Segment around = finish();
    auto bytes = entry_as_segments(entry, around.after, around.through);
    if (!bytes) return tl::unexpected(bytes.error());
    OutgoingBatch batch{std::move(*bytes), 1, {}, {}, false};
    batch.records_through.raise(around.origin, stamp);
    batch.told_through.raise(around.origin, around.through);
    return batch;
  }
  // What was taken, with the promise if nothing was left behind.
  Segment finish() {
    if (at_end()) segment_.through = std::max(segment_.through, through_);
    return std::move(segment_);
  }
  [[nodiscard]] bool only_promises() const { return at_end() && segment_.records.empty(); }

 private:
  [[nodiscard]] bool at_end() const { return all_read_ && next_ == entries_.size(); }

  const outbox::Outbox& outbox_;
  const Hlc last_;
  const Hlc through_;
  Hlc read_;
  outbox::Outbox::Entries entries_;
  size_t next_ = 0;
  bool all_read_ = false;
  Segment segment_;
};

OutgoingBatch batch_of(const std::vector<Segment>& segments) {
  OutgoingBatch batch;
  if (segments.empty()) return batch;
  batch.bytes = encode_segments(segments);
  for (const Segment& segment : segments) {
    batch.records += segment.records.size();
    if (!segment.records.empty()) {
      batch.records_through.raise(segment.origin, segment.records.back().hlc);
    }
    batch.told_through.raise(segment.origin, segment.through);
  }
  return batch;
}

// The reader whose next record has the oldest stamp; null: none has any.
Result<LogReader*> oldest_of(std::vector<LogReader>& readers) {
  LogReader* oldest = nullptr;
  Hlc oldest_stamp = kHlcMax;
  for (LogReader& reader : readers) {
    auto stamp = reader.peek();
    if (!stamp) return tl::unexpected(stamp.error());
    if (!*stamp || **stamp >= oldest_stamp) continue;
    oldest = &reader;
    oldest_stamp = **stamp;
  }
  return oldest;
}

// Of origins without any record to send.
std::vector<Segment> untold_promises(std::vector<LogReader>& readers, const VersionVector& told) {
  std::vector<Segment> promises;
  for (LogReader& reader : readers) {
    if (!reader.only_promises()) continue;
    Segment segment = reader.finish();
    if (segment.through > told.at(segment.origin)) promises.push_back(std::move(segment));
  }
  return promises;
}

// Oldest stamp first over all origins: causes have smaller stamps than their effects, so whatever
// is cut off depends on what is sent, never the other way round.
Result<OutgoingBatch> fill_batch(std::vector<LogReader>& readers, size_t bytes_max,
                                 const VersionVector& told, bool relay) {
  size_t bytes = 0;
  while (bytes < bytes_max) {
    auto oldest = oldest_of(readers);
    if (!oldest) return tl::unexpected(oldest.error());
    if (*oldest == nullptr) break;
    const size_t next = (*oldest)->next_bytes();
    const bool is_whole = next >= kWholeEntryBytesMin;
    if (bytes > 0 && (bytes + next > bytes_max || is_whole)) break;
    if (is_whole) {
      // Promises do not wait until no large record is left, nor records for promises that move on.
      const std::vector<Segment> promises =
          relay ? untold_promises(readers, told) : std::vector<Segment>();
      if (promises.empty()) return (*oldest)->take_whole();
      OutgoingBatch batch = batch_of(promises);
      batch.more = true;
      return batch;
    }
    if (Status taken = (*oldest)->take(); !taken) return tl::unexpected(taken.error());
    bytes += next;
  }
  std::vector<Segment> segments;
  for (LogReader& reader : readers) {
    if (auto next = reader.peek(); !next) return tl::unexpected(next.error());
    Segment segment = reader.finish();
    if (segment.through > segment.after) segments.push_back(std::move(segment));
  }
  return batch_of(segments);
}

}  // namespace

Result<OutgoingBatch> SiteExchange::read_batch(const VersionVector& has, size_t bytes_max,
                                               const VersionVector& told, bool relay) const {
  const SiteState::Sendable ours = state_.sendable();
  std::vector<Dot> starts;
  std::vector<LogReader> readers;
  for (const auto& [origin, through] : ours.known.entries()) {
    if (origin.epoch == kRetired) continue;
    const Hlc last = ours.records.at(origin);
    const Hlc after = has.at(origin);
    if (after > last) continue;  // it knows more of this origin than we could tell
    if (after == 0 && last != 0 && has.get(origin) >= last) continue;  // it has retired this epoch
    const bool promises = (relay || origin == context_.self) && through > told.at(origin);
    if (after == last && !promises) continue;
    starts.push_back({after, origin});
    readers.emplace_back(context_.outbox, origin, after, last, through);
  }
  if (Status held = state_.still_holds(starts); !held) return tl::unexpected(held.error());
  auto batch = fill_batch(readers, bytes_max, told, relay);
  // What was forgotten meanwhile may be missing in what was read.
  if (Status held = state_.still_holds(starts); !held) return tl::unexpected(held.error());
  return batch;
}

}  // namespace outrigger
