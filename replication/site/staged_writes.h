// Steps of several local writes, to be written together: an append costs much the same for one as
// for ten. What is staged has not happened yet; whoever staged it goes on only after
// Replica::write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "replication/outbox/batch.h"
#include "replication/site/corrections/corrections.h"
#include "replication/site/kept/kept_changes.h"
#include "replication/site/state/open_writes.h"

namespace outrigger {

// Of one thread.
class StagedWrites {
 public:
  [[nodiscard]] bool empty() const { return batch_.empty(); }
  [[nodiscard]] size_t bytes() const { return batch_.bytes(); }

 private:
  friend class LocalWrites;
  outbox::Batch batch_;
  std::vector<SettledWrite> settled_;
  int64_t rows_ = 0;  // more rows than before
  // Row keys of documents set aside that changed, or that others keep from being shown which did.
  std::vector<std::string> detached_;
  std::vector<Correction> corrections_;
  KeptChanges kept_;  // indexes that are not relaxed any more
};

}  // namespace outrigger
