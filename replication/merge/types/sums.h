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

// A row that is one counter and no more, of one entry an origin: what is the same everywhere in it,
// and the counter of a stamp that is the first of its millisecond, are not said.
[[nodiscard]] bool is_one_an_origin(const CounterEntries& entries);
void write_clock(RowOut& out);
void read_clock(RowIn& in);
void write_alone(RowOut& out, const ShownSums& sums);  // of each origin in the table one entry
void read_alone(RowIn& in, Sums& sums);

}  // namespace outrigger::merge
