// Of which documents of a run it must be looked at what the run did to them: the store's answer
// does not tell. That is so where an error may have come after the write, and where an image that
// the record needs is not there. Pure; who looks is writes/run_settler.h.
#pragma once

#include <vector>

#include "proxy/capture/run.h"

namespace outrigger {

// Indexes of items, in order. `before`, `after`: the images as they were read around the run.
[[nodiscard]] std::vector<size_t> doubtful_items(const Run& run, const RunReply& reply,
                                                 const Images& before, const Images& after);

// Did every error of the answer say that its statement wrote nothing?
[[nodiscard]] bool is_refused_surely(const Run& run, const RunReply& reply);

// The answer of a store in which `item` alone was written.
[[nodiscard]] Run run_of_one(const Run& run, const RunItem& item);
[[nodiscard]] RunReply reply_of_one();

// Every statement met the guard: the collection is not the one it was taken for.
[[nodiscard]] bool met_another_collection(const RunReply& reply);

}  // namespace outrigger
