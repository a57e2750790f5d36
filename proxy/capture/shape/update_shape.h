// What an update would do, read from the request alone: which paths it names and whether the
// store's answer (n, nModified) is enough to know the outcome, or an image of the document is
// needed.
//
// Pure.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/merge_rules.h"
#include "replication/bson/bson.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"

namespace outrigger {

struct UpdateShape {
  enum class Form : uint8_t {
    kLiteral,      // $set, top-level $unset, $inc on plain paths: request and reply tell all
    kPostImage,    // operators whose result stands in the document afterwards
    kReplacement,  // the document afterwards is the change
    kDiff,         // a pipeline, or a replacement by such a rule: before and after
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
  // Of those, what is done to more than the value that stands there: to elements of an array, or
  // to a number. A name of digits is a position where an array is on the way, and a field's name
  // otherwise: the document tells.
  struct Edit {
    std::optional<ArrayEdit> how;  // to an array at the path's end; nothing: it is given a value
    // It adds these behind all others, and does nothing else.
    std::optional<std::vector<bson::Value>> appends;
    std::optional<bson::Value> delta;  // $inc: added to the number at the path's end
    bool has_digits = false;           // so an array on the way has an element of it changed
    bool is_of_part = false;           // the operator named a part of what the rules keep whole
    bool is_given = false;             // an array is assigned whole: an edit where there was one
    bool sorts = false;                // $push with $sort
    std::string_view key = {};         // kKeyed, or it sorts: of the rules, which outlive the shape
  };
  std::map<Path, Edit> edits;
  // Every path with a position or digits in it: what is named in the elements of arrays.
  struct InArray {
    Path path;
    std::optional<bson::Value> delta;  // $inc
  };
  std::vector<InArray> in_arrays;
  // Arrays that $set assigns, whose elements the rules may tell apart all the same.
  std::vector<std::pair<Path, bson::Value>> given_arrays;
  bool is_version = false;  // it names the field of versions: the document afterwards is the change
  bool asserts = false;     // holds a $set: equal values still are a write
  // An _id the update itself gives to an upserted document ($set, $setOnInsert, replacement).
  std::optional<bson::Value> given_id;

  // What became of an array is told by what it was, where the request does not say it all.
  [[nodiscard]] bool edits_unknown() const {
    return std::any_of(edits.begin(), edits.end(),
                       [](const auto& each) { return !each.second.appends; });
  }
};

// `update` is a document (operators or replacement) or an array (pipeline).
[[nodiscard]] UpdateShape read_update_shape(const bson::Value& update, bool has_array_filters);

// What the rules make of it: where every write is an assignment, and of what is kept whole, only
// the document afterwards tells the value. An array that is assigned is an edit of its elements
// where these are told apart.
void follow_rules(UpdateShape& shape, const MergeRules& rules);
// The same of changes that were read from documents, of which `after` is the later one.
void follow_rules(std::vector<PathChange>& changes, const MergeRules& rules,
                  const bson::Document& after);

// As far as no name is a position in an array.
[[nodiscard]] Path in_front_of_position(const Path& path);
// "a.b.c" -> names.
[[nodiscard]] Path split_path(std::string_view dotted);

// The changes a kPostImage update made, by the document afterwards. Increments in
// `shape.operations` are not included. `before`: where it is not known, an array of which it would
// have told what became of its elements is assigned as a whole.
[[nodiscard]] std::vector<PathChange> changes_from_image(
    const UpdateShape& shape, const bson::Document& after,
    const std::optional<bson::Document>& before = std::nullopt);

// Field by field what turns `before` into `after`; sub-documents are compared inside. Neither
// repeats a name.
[[nodiscard]] std::vector<PathChange> changes_from_diff(const bson::Document& before,
                                                        const bson::Document& after);

}  // namespace outrigger
