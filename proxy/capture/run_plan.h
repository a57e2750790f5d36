// From statements to runs: which documents go to the store together, and what is sent of them.
//
// A statement that names its document is planned as it stands. One that does not is planned once
// its filter has been asked: narrowed to a document that was found, or, where none was and it is
// an upsert, under an _id that is new, so that it can only insert. Pure; `birth` makes the _ids
// that are made here, and has the time where mongod would fill in its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "proxy/capture/run.h"
#include "proxy/capture/write_request.h"
#include "proxy/mongo/fresh_ids.h"

namespace outrigger {

using IsRemembered = std::function<bool(const Statement&)>;
// The run that starts at statement `first`, as many of them as go together. Empty: it does not name
// its document. What is remembered of an earlier attempt ends it.
[[nodiscard]] Run gather_run(const WriteRequest& request, size_t first, const Birth& birth,
                             const IsRemembered& is_remembered);

// A measurement, once its kin are locked: there are `before` equal ones. `by`: as series::name_of.
void name_measurement(RunItem& item, int64_t before, bson::Bytes by);

// The statement for one document that its filter found.
[[nodiscard]] RunItem narrowed_item(const WriteRequest& request, const Statement& statement,
                                    bson::OwnedValue id);
[[nodiscard]] Run narrowed_run(const WriteRequest& request, const Statement& statement,
                               bson::OwnedValue id);
// The same for as many of the documents from `first` on as go together.
[[nodiscard]] Run gather_found(const WriteRequest& request, const Statement& statement,
                               const std::vector<bson::OwnedValue>& ids, size_t first);

// What an upsert inserts when nothing matches.
[[nodiscard]] Run inserting_run(const WriteRequest& request, const Statement& statement,
                                const Birth& birth);
// The app's own upsert, for when nobody else can write: what it inserts is known from the answer.
[[nodiscard]] Run upsert_as_it_is(const WriteRequest& request, const Statement& statement,
                                  const Birth& birth);

// The statement as one that can match nothing: the store gives its own error, or its own "n: 0".
[[nodiscard]] Run probing_run(const WriteRequest& request, const Statement& statement,
                              const Birth& birth);
// A statement the store has run before: it gives its answer again.
[[nodiscard]] Run repeating_run(const WriteRequest& request, const Statement& statement);

// May the run make the collection it is about?
[[nodiscard]] bool may_make_collection(const Run& run);
// Does mongod take no filter like this in an upsert, whether it matches something or not?
[[nodiscard]] bool uses_expressions(const bson::Document& filter);
// An update of many documents by a replacement, which mongod refuses.
[[nodiscard]] bool replaces_many(const Statement& statement);

}  // namespace outrigger
