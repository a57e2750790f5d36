// Documents that need not be read to be merged with, which is most of them: reading costs the store
// nearly what writing does.
//
// A document that nobody knows of and that a record bears is written as it came; the store says if
// one stood there (apply_committer.h). Where a field is given a value or taken away by an author
// who had seen all that is remembered of the document, there is nothing to merge: the row goes on
// as the author's own did, and the store is told the field.
#pragma once

#include "config/result.h"
#include "replication/apply/apply_batch.h"

namespace outrigger {

// Nothing is remembered of the document, and all that is done to it is that it is born, by one
// record.
[[nodiscard]] bool is_only_born(const ApplyDocument& document);
// What merge_document does with such a one that the store does not have, but for the kind of write.
void bear(ApplyDocument& document);
// The write of a birth that is_only_born: what the record says is all there is in it.
[[nodiscard]] StoreWrite birth_write(const DocumentEffects& effects);

// What merge_document does where the store has the document. False: it must be read, and nothing is
// filled in. Errors: kCorrupt (the row).
[[nodiscard]] Result<bool> overwrite(ApplyDocument& document);

}  // namespace outrigger
