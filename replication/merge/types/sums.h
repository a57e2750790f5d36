// Counters in the bytes of a row that holds little else: what most of them are, a small whole
// number and one entry a site, in as few bytes as that takes. FORMATS.md, section 5.
#pragma once

#include "replication/merge/types/counter.h"
#include "replication/merge/types/register.h"
#include "replication/merge/types/row_stamps.h"

namespace outrigger::merge {

struct Sums {
  bson::OwnedValue base;  // what is counted from; no number: that does not stand here
  CounterEntries entries;
};

// A number from before all that is remembered, and no more.
[[nodiscard]] bool is_old_number(const Register& reg);
[[nodiscard]] Register old_number(bson::OwnedValue number);

struct ShownSums {                // borrowed
  const bson::OwnedValue* base;   // null: it does not stand here
  const CounterEntries& entries;  // which tell no bounds
};
void write(RowOut& out, const ShownSums& sums);
void read(RowIn& in, Sums& sums);

}  // namespace outrigger::merge
