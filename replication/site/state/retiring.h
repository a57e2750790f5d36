// How far this site is with retiring its old epochs (record.h): its record is written, then
// durable, then what the log still holds of them goes.
//
// All old epochs go at once: the present one's stamps all lie beyond the start of this run, theirs
// all before it, so that one stamp tells them apart for ever.
#pragma once

#include <algorithm>
#include <optional>

#include "replication/site/state/inbox.h"
#include "replication/site/state/peer_news.h"
#include "replication/site/state/site_vectors.h"

namespace outrigger {

// Not thread-safe: lives under the lock of SiteState.
class Retiring {
 public:
  struct Epochs {
    VersionVector ends;
    Hlc watermark = 0;
  };

  // What may be retired now; empty: nothing. `start`: every stamp of this run lies beyond.
  [[nodiscard]] VersionVector ready(const SiteVectors& vectors, const PeerNews& news,
                                    Hlc start) const {
    if (stamp_ != 0) return {};
    VersionVector old = vectors.old_epochs();
    const auto is_late = [&](const auto& entry) { return entry.second > start; };
    // Of a restored image whose past came back from others: its next start lies beyond it.
    if (std::any_of(old.entries().begin(), old.entries().end(), is_late)) return {};
    return !old.empty() && news.all_have(old) ? old : VersionVector();
  }
  void begin(const Record& record) {
    stamp_ = record.hlc;
    epochs_ = {record.retired, watermark_of(record)};
  }
  // Something of this run is durable. If it is the record: what is retired by that.
  [[nodiscard]] std::optional<Epochs> durable(Hlc stamp) {
    if (stamp != stamp_) return std::nullopt;
    stamp_ = 0;
    return std::move(epochs_);
  }

  // Epochs of any site were retired.
  void purge_later() { purge_due_ = true; }
  // True once after that, and at start.
  [[nodiscard]] bool take_purge() { return std::exchange(purge_due_, false); }

 private:
  Hlc stamp_ = 0;  // of the record; 0: none is under way
  Epochs epochs_;
  bool purge_due_ = true;
};

}  // namespace outrigger
