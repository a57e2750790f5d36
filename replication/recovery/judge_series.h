// Measurements of time series after a crash: which of those in doubt were inserted, and which of
// those that the store lacks are to be put back.
//
// Neither asks the oplog. A measurement says how many equal ones there were before it
// (series/measurement.h), and what a store forgets is the last it was given: so it is there if
// there are more than that, in whichever order all this is found out.
#pragma once

#include <string>

#include "config/result.h"
#include "replication/outbox/outbox.h"
#include "replication/record/prepare.h"
#include "replication/record/record.h"
#include "replication/store/store.h"

namespace outrigger {

// Of a measurement in doubt. Errors: of the store; kCorrupt.
[[nodiscard]] Result<bool> is_inserted(StoreReader& store, const PreparedDocument& prepared);
// What mongod answered of one that was.
[[nodiscard]] std::string answer_of_insert();

// A measurement that went when its time series was dropped, of which its record had not heard.
// False of all other documents. Errors: of the outbox.
[[nodiscard]] Result<bool> gone_with_series(const outbox::Outbox& outbox, const std::string& ns,
                                            const Record& record);

}  // namespace outrigger
