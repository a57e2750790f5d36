// Does an update leave the keys of unique indexes that its document holds as they were? Whose a key
// is when two documents hold it goes by who may have changed it (merge/holding/holding.h), and an
// app that saves a document again, whole, has changed nothing.
//
// Most updates say so by the paths they name. Of the others the values are compared, before and
// after: at a path of an index, with all elements of arrays on the way, in their order and by their
// bytes. That is more than an index tells apart (1 and 1.0 are one key), and never less.
//
// Pure.
#pragma once

#include <vector>

#include "proxy/capture/run.h"

namespace outrigger {

using UniqueFields = std::vector<Path>;  // CollectionInfo::unique_fields

// Is the path one of the fields, above or below it?
[[nodiscard]] bool is_at_keys(const Path& path, const UniqueFields& fields);
// Does the update name anything that is?
[[nodiscard]] bool names_keys(const UpdateShape& shape, const UniqueFields& fields);
// Of an item of the run: will only its document as it was tell?
[[nodiscard]] bool needs_keys_before(const RunItem& item, const UniqueFields& fields);
// Are the values at the fields the same?
[[nodiscard]] bool same_keys(const bson::Document& before, const bson::Document& after,
                             const UniqueFields& fields);
// What an update of the item is to the keys. `after`: the document, where it is known.
[[nodiscard]] Keys keys_after(const Run& run, const RunItem& item, const Images& before,
                              const std::optional<bson::Document>& after);

}  // namespace outrigger
