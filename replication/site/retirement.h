// Old epochs of this site go, so that what every record and hello carries does not grow with each
// start. Once every member has reported all of them to their ends, one record says so (record.h);
// whoever applies it, this site first, keeps a watermark in their place (version_vector.h). When
// that may be: state/retiring.h.
#pragma once

#include "config/result.h"
#include "replication/site/local_records.h"
#include "replication/site/local_writes.h"
#include "replication/site/state/site_state.h"

namespace outrigger {

// Of one thread.
class Retirement {
 public:
  // Everything is borrowed and outlives this.
  Retirement(const SiteContext& context, SiteState& state, LocalRecords& records,
             LocalWrites& writes)
      : context_(context), state_(state), records_(records), writes_(writes) {}

  // Writes the record that retires our old epochs, when every member has all of them.
  [[nodiscard]] Status retire();
  // What is kept of epochs that are retired goes: records every member has, places in vectors.
  [[nodiscard]] Status purge();

 private:
  const SiteContext& context_;
  SiteState& state_;
  LocalRecords& records_;
  LocalWrites& writes_;
};

}  // namespace outrigger
