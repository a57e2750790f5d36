// From where on the oplog says what became of writes in doubt, and what it says.
//
// The problem: it is long, and a write in doubt is among its last. So a time is noted now and then
// before which everything of ours is settled. It is a time of one member's clock: another one that
// is elected may be behind it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "replication/outbox/outbox.h"
#include "replication/site/site_parts.h"
#include "replication/store/store.h"

namespace outrigger {

// One thread's at a time: the one recovery works on. Does nothing where there is no oplog.
class OplogWindow {
 public:
  // Everything is borrowed and outlives this. `warn` gets one line for the log.
  OplogWindow(SiteParts& site, outbox::Outbox& outbox, std::function<void(const std::string&)> warn)
      : site_(site), outbox_(outbox), warn_(std::move(warn)) {}

  // What these sessions (lsid.ids) wrote since the noted time; nothing on a standalone or when the
  // oplog was cut.
  [[nodiscard]] Result<std::optional<std::vector<OplogWrite>>> read(
      Store& store, const std::vector<std::string>& session_ids);
  // Everything of ours is settled: it need not be read again from before now.
  [[nodiscard]] Status begin_now(Store& store);
  // See Recovery::note_oplog_time.
  [[nodiscard]] Status note(Store& store);
  // Another member of the set is about to be served. What is written there from now on is found by
  // who reads on from the noted time.
  [[nodiscard]] Status meet(Store& store);

 private:
  [[nodiscard]] Result<Timestamp> noted() const;
  [[nodiscard]] Status wait_for_majority(Store& store);
  [[nodiscard]] Status write(Timestamp time);

  SiteParts& site_;
  outbox::Outbox& outbox_;
  const std::function<void(const std::string&)> warn_;
  // note(): a time read earlier, good once every stamp up to `candidate_stamp_` is settled.
  std::optional<Timestamp> candidate_;
  Hlc candidate_stamp_ = 0;
  // What came of waiting for a majority, and at which run of the store.
  struct Waited {
    std::string process;
    bool is_settled = false;
    int64_t again_us = INT64_MIN;  // not before this, where there was none
  };
  Waited waited_;
};

}  // namespace outrigger
