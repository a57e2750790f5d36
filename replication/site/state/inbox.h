// Records of peers that wait for what they depend on. One queue an origin, gap-free: whatever the
// link delivers twice, over two routes or out of order is cut to the one stretch that continues
// what is there. Bounded by bytes, yet every origin may always have one stretch in: the record all
// others wait for can come from any of them.
//
// A stretch must continue what is here: the record before it is the last one we have of its origin.
// Where it is another one, two histories go by one name, and taking either for a copy of the other
// would lose records without a trace.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/limits.h"
#include "config/result.h"
#include "replication/causality/promises.h"
#include "replication/record/record.h"

namespace outrigger {

// The stamp up to which the epochs it retires reach; 0: it retires none.
[[nodiscard]] Hlc watermark_of(const Record& record);

// A rough count of the memory a record takes.
[[nodiscard]] size_t memory_bytes(const Record& record);

// Not thread-safe: lives under the lock of SiteState.
class Inbox {
 public:
  struct Item {
    Hlc through = 0;
    std::shared_ptr<const Record>
        record;  // null: the promise that there is nothing up to `through`
    size_t bytes = 0;
    Word word = Word::kNone;  // whose promise
    std::string wrong;        // why the record may not be applied; empty: it may
  };
  using Queues = std::map<Origin, std::deque<Item>>;

  explicit Inbox(size_t bytes_max) : bytes_max_(bytes_max) {}

  struct Taken {
    size_t duplicates = 0;
    bool fresh = false;    // something was queued
    std::string mismatch;  // it belongs to another history: nothing of it was taken. For people
  };
  // Appends what of `segment` lies beyond `applied`, the last record applied of its origin, and
  // what is queued. `word`: whether its promise counts. `holds`: is there an applied record with
  // this stamp? `check`: why a record may not be applied. Errors: kCorrupt (records not as the
  // segment says), kRefused (it starts beyond what is known: a gap), kUnavailable (full).
  [[nodiscard]] Result<Taken> offer(Segment segment, Hlc applied, Word word,
                                    const std::function<bool(Hlc)>& holds,
                                    const std::function<std::string(const Record&)>& check);
  struct Promised {
    Origin origin;
    Hlc through = 0;
    Word word = Word::kNone;
  };
  // Forgets records that `applied` covers, and promises that were taken.
  void drop_applied(const VersionVector& applied, const std::vector<Promised>& taken);
  // The front of every queue: at most `records_max` items of each.
  [[nodiscard]] std::map<Origin, std::vector<Item>> front(size_t records_max) const;

  [[nodiscard]] const Queues& queues() const { return queues_; }
  [[nodiscard]] size_t records() const { return records_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  const size_t bytes_max_;
  Queues queues_;
  size_t records_ = 0;
  size_t bytes_ = 0;
};

struct DeliveryLimits {
  size_t documents_max = limits::kDeliveryDocumentsMax;
  size_t bytes_max = limits::kDeliveryBytesMax;
  size_t wrong_max = SIZE_MAX;  // records that may not be applied
};

// What can be applied next, in an order that respects dependencies, and the vector after it.
struct Delivery {
  std::vector<std::shared_ptr<const Record>> records;
  VersionVector after;                    // only the entries that move
  std::vector<Inbox::Promised> promised;  // true once the records are applied
  // Records that are passed over: they may not be applied, for people to read why.
  std::vector<std::pair<std::shared_ptr<const Record>, std::string>> wrong;
  std::vector<Origin> refused;   // origins whose next record was ready, but `take` said no
  std::vector<Origin> overfull;  // likewise, but wrong_max others had been passed over
};

// Picks from the fronts of an inbox, lowest stamp first. `vector`: what is applied, the published
// stamps of this site included. `take` is asked once a record, in order, and may refuse it; then
// nothing more of that origin is taken. Stamps for which `hold` is true are left where they are.
[[nodiscard]] Delivery deliver(const std::map<Origin, std::vector<Inbox::Item>>& front,
                               VersionVector vector, const DeliveryLimits& limits,
                               const std::function<bool(Hlc)>& hold,
                               const std::function<bool(const Record&)>& take);

}  // namespace outrigger
