// Reads that only the capture needs: which documents a filter means, and documents around a write.
//
// They go over the app's own connection. Where the app's user may write and not read, mongod says
// so (13); then mongod is asked whether the write would be let in, and only if it would the
// sidecar's own user reads. Errors of a read are never taken for "there is nothing".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/capture/reads.h"
#include "proxy/writes/store_refusals.h"

namespace outrigger {

// How a read of ours ended.
struct StoreRead {
  enum class End : uint8_t {
    kDone,
    kRefused,  // `body` is the store's error
    kVerdict,  // `body` answers the app's command as a whole
    kBroken,
  };
  End end = End::kBroken;
  std::string body;
  [[nodiscard]] bool done() const { return end == End::kDone; }
};

// What a filter found; or, when one of the last three is set, why that is not known.
struct Found {
  std::vector<bson::OwnedValue> ids;
  uint64_t asked = 0;                    // LockTable::now, before it was
  std::optional<FilterRefusal> refusal;  // mongod's, of the filter
  std::optional<std::string> verdict;    // answers the app's command as a whole
  bool broken = false;                   // the connection ended
  [[nodiscard]] bool is_known() const { return !refusal && !verdict && !broken; }
};

class StoreReads {
 public:
  // All outlive it.
  StoreReads(ProxyContext& context, Backend& backend, const WriteRequest& request,
             StoreRefusals& refusals)
      : context_(context), backend_(backend), request_(request), refusals_(refusals) {}

  // The documents that the statement's filter finds, at most `limit` (0: all).
  net::Task<Found> find(const Statement& statement, size_t limit);
  // Where somebody held a document since the filter was asked, its answer may be of another state
  // of it. Then it is asked again, by one who now holds the document: gives those that stand.
  net::Task<Found> those_that_stand(const Statement& statement, Found found);
  [[nodiscard]] bool was_touched(const bson::OwnedValue& id, uint64_t asked) const;
  // The same for one document that was touched. Nothing: the connection ended.
  net::Task<std::optional<bool>> is_still_chosen(const Statement& statement,
                                                 const bson::OwnedValue& id);
  // Adds the items' documents to `images`. Before the run it may take no longer than the app's
  // command; afterwards it must be known what the run did.
  net::Task<StoreRead> read_images(std::vector<const RunItem*> items, Taken taken, Images& images);
  // Of measurements: how many equal ones there are. Asked by the sidecar's own user, as the app's
  // may have no right to read.
  net::Task<StoreRead> count_measurements(Run& run);
  // Of measurements, too: an attempt before this one was settled while this waited for its locks.
  // mongod, who would pass over it, is not told that this is a retry.
  [[nodiscard]] bool have_been_recorded(const Run& run) const;
  // How large the items' documents are.
  net::Task<StoreRead> read_sizes(std::vector<const RunItem*> items, Sizes& sizes);

 private:
  net::Task<Found> find_among(const Statement& statement,
                              const std::vector<bson::OwnedValue>& among);
  net::Task<Found> find_ids(std::string find);
  net::Task<StoreRead> read(std::string find, Visit visit, bool timed);
  net::Task<StoreRead> read_refused(std::string find, Visit visit, std::string refusal);

  ProxyContext& context_;
  Backend& backend_;
  const WriteRequest& request_;
  StoreRefusals& refusals_;
};

// Notes in `item` which images of its document its row leaves to be asked for: what was counted on,
// what an array held, it may know already. Under the document's lock.
void look_at_row(const Replica& replica, const WriteCommand& command, RunItem& item);
// Does one of them edit an array of which nobody knows what it held?
[[nodiscard]] bool any_edits_unknown(const Run& run);
// Of a replacement the oplog tells what the document became, and not what of it changed.
[[nodiscard]] bool is_replaced_by_diff(const RunItem& item);
// Where no oplog tells after a crash whether it happened, the document before it does.
[[nodiscard]] bool is_told_by_both(const RunItem& item);
// The document before it is in memory together with that after it.
[[nodiscard]] bool takes_two_images(const RunItem& item);

}  // namespace outrigger
