// What this site has of everybody's records, in four vectors.
//
// `visible`: what local writes name as seen; it moves as soon as an apply batch's rows are durable,
// before its values are in the store (the documents are locked until then). `durable`: what is also
// in the store; the only one ever reported. Its entry of this run is the last record published.
// `floor`: up to where the log has been forgotten: no peer below it can catch up. `journaled`: what
// of all that the store's journal is known to hold, so that no crash of the store takes it back.
//
// Whatever they say is on disk as well: peers may forget what we say we have, and take us for a
// restored backup should we ever say less.
#pragma once

#include <memory>
#include <utility>

#include "replication/causality/version_vector.h"
#include "replication/record/record.h"

namespace outrigger {

// Not thread-safe: lives under the lock of SiteState.
class SiteVectors {
 public:
  SiteVectors(const Origin& self, VersionVector applied, VersionVector floor,
              VersionVector journaled)
      : self_(self),
        visible_(applied),
        durable_(std::move(applied)),
        floor_(std::move(floor)),
        journaled_(std::move(journaled)) {}

  [[nodiscard]] const VersionVector& visible() const { return visible_; }
  // The same, to be kept as it is now.
  [[nodiscard]] std::shared_ptr<const VersionVector> seen() const;
  [[nodiscard]] const VersionVector& durable() const { return durable_; }
  [[nodiscard]] const VersionVector& floor() const { return floor_; }
  [[nodiscard]] const VersionVector& journaled() const { return journaled_; }
  // What a commit of this run under `stamp` depends on.
  [[nodiscard]] VersionVector deps_of(Hlc stamp) const;
  // What dependencies of peers' records are checked with.
  [[nodiscard]] VersionVector delivered() const;

  void published(Hlc record) { durable_.raise(self_, record); }
  // A record of an earlier run was found or made.
  void recovered(const Dot& dot);
  void rows_durable(const VersionVector& after) {
    visible_.raise(after);
    seen_.reset();
  }
  void stored(const VersionVector& after);
  void raise_floor(const Origin& origin, Hlc through) { floor_.raise(origin, through); }
  void journaled(const VersionVector& through) { journaled_.raise(through); }

  // ---- old epochs (retirement.h)
  [[nodiscard]] VersionVector old_epochs() const;  // of this site
  // It is durable that these are retired.
  void retired(const VersionVector& epochs, Hlc watermark);
  // Is it of an epoch that was retired here?
  [[nodiscard]] bool is_retired(const Segment& segment) const;
  void forget_floors_of_retired();

 private:
  const Origin self_;
  VersionVector visible_;                              // never our present origin
  mutable std::shared_ptr<const VersionVector> seen_;  // a copy of it, once asked for
  VersionVector durable_;
  VersionVector floor_;
  VersionVector journaled_;
};

}  // namespace outrigger
