// What an update would do, read from the request alone: which paths it names and whether the
// store's answer (n, nModified) is enough to know the outcome, or an image of the document is
// needed.
//
// Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "replication/bson/bson.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"

namespace outrigger {

struct UpdateShape {
  enum class Form : uint8_t {
    kLiteral,      // $set, top-level $unset, $inc on plain paths: request and reply tell all
    kPostImage,    // operators whose result stands in the document afterwards
    kReplacement,  // the document afterwards is the change
    kDiff,         // a pipeline: before and after
  };
  struct Operation {
    outrigger::Operation kind = outrigger::Operation::kAssign;
    Path path;
    bson::Value value;
  };

  Form form = Form::kLiteral;
  // kLiteral: everything. kPostImage: the increments on plain paths, which stay increments.
  std::vector<Operation> operations;
  // kPostImage: every other path named, cut in front of the first array position.
  std::vector<Path> touched;
  bool asserts = false;  // holds a $set: equal values still are a write
  // An _id the update itself gives to an upserted document ($set, $setOnInsert, replacement).
  std::optional<bson::Value> given_id;
};

// `update` is a document (operators or replacement) or an array (pipeline).
[[nodiscard]] UpdateShape read_update_shape(const bson::Value& update, bool has_array_filters);

// "a.b.c" -> names.
[[nodiscard]] Path split_path(std::string_view dotted);

// The changes a kPostImage update made, by the document afterwards. Increments in
// `shape.operations` are not included.
[[nodiscard]] std::vector<PathChange> changes_from_image(const UpdateShape& shape,
                                                         const bson::Document& after);

// Field by field what turns `before` into `after`; sub-documents are compared inside, arrays whole.
// Neither repeats a name.
[[nodiscard]] std::vector<PathChange> changes_from_diff(const bson::Document& before,
                                                        const bson::Document& after);

}  // namespace outrigger
