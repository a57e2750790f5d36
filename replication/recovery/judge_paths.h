// What a document says of the paths that a prepare names.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replication/bson/fields.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"

namespace outrigger {

// The document of a prepare as the store holds it now, asked for many paths. Borrows it.
class Stored {
 public:
  explicit Stored(const std::string& document)
      : document_(document), finder_(bson::Document(document_)) {}

  [[nodiscard]] const std::string& document() const { return document_; }
  [[nodiscard]] std::optional<bson::Value> value_at(const Path& path) { return finder_.find(path); }
  // What the document says of a path. Where an array is in the way the whole array is the change;
  // where a container is missing there is none: no operator takes a container away with the field
  // in it, and a field that is gone would bring its containers back.
  [[nodiscard]] std::optional<PathChange> change_at(Path path);
  // The array on the way, if one is.
  [[nodiscard]] std::optional<Path> array_on_way(const Path& path);
  // What its updates do cannot be told by paths.
  [[nodiscard]] bool is_opaque() const { return bson::repeats_names(bson::Document(document_)); }

 private:
  const std::string& document_;
  bson::PathFinder finder_;
};

// The present values of the paths, once each; `known` holds those that have a change already.
void add_present_values(DocumentChange& change, Stored& stored, const std::vector<Path>& named,
                        std::set<Path> known = {});

// An increment, or elements added behind all others, that certainly happened: what was there before
// is what is there now less what was added. Nothing where that would not lead back to the same
// bytes, and of what adds nothing.
[[nodiscard]] std::optional<PathChange> addition_of(Stored& stored, const PreparedPath& prepared);
// Likewise increments in elements of arrays, each of which had nothing else done to it.
[[nodiscard]] std::vector<PathChange> additions_in_arrays(Stored& stored,
                                                          const std::vector<PreparedPath>& paths);

// As who was not in doubt would have recorded what gives a version: by the document.
void tell_version(DocumentChange& change, const PreparedDocument& prepared,
                  const std::optional<std::string>& stored);
// What has become of a collection, where `document` is what the catalogue shows now.
[[nodiscard]] std::optional<DocumentChange> catalog_difference(const PreparedDocument& prepared,
                                                               const std::string& document);

}  // namespace outrigger
