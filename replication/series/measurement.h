// A measurement of a time-series collection as a document that travels.
//
// The problem: measurements have no name. Their _id may be missing, and it may be given twice;
// MongoDB keeps them in buckets that are other ones at every site, and says of an insert that may
// have happened nothing that would tell it from one just like it. The idea: measurements are never
// changed, so two that are equal are the same but for how many there are. Each travels with the
// number of equal ones that its site had before it: whoever has more than that has it, and who has
// not makes as many. Looking again is then all it takes to insert it once, after any crash, at its
// own site or at others, and in whatever order equal ones come.
//
//   {_id: {of: <which measurements it may be equal to>, by: <a name of its own>},
//    before: <equal ones, where there were any>, measurement: {...}}
//
// in the namespace of the buckets, "db.system.buckets.heat", which holds no other documents that
// replicate. To merging it is the birth of a document that nobody else knows. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"
#include "replication/bson/bson.h"

namespace outrigger::series {

// Is it where measurements travel?
[[nodiscard]] bool holds_measurements(std::string_view ns);
// "db.heat" -> "db.system.buckets.heat", and back.
[[nodiscard]] std::string measurements_of(std::string_view collection);
[[nodiscard]] std::string collection_of(std::string_view measurements);

// 16 bytes that those equal to it share, whatever the order of their fields.
[[nodiscard]] std::string digest_of(const bson::Document& measurement);
// As MongoDB keeps it: of fields of one name only the first.
[[nodiscard]] std::string as_kept(const bson::Document& measurement);
// With the fields of all documents in it in order, as MongoDB keeps a metaField.
[[nodiscard]] std::string in_order(const bson::Document& document);
// What `of` says: by which measurements are locked. All that are equal have it.
[[nodiscard]] bson::OwnedValue kin_of(const bson::Document& measurement);

// `by`: 12 bytes that no other has.
[[nodiscard]] bson::OwnedValue name_of(const bson::OwnedValue& kin, bson::Bytes by);
// By what of its name it is locked. Nothing is of no kin.
[[nodiscard]] bson::OwnedValue kin_in(const bson::Value& name);

struct Measurement {
  int64_t before = 0;
  bson::Document is;  // borrowed
};
[[nodiscard]] std::string measurement_document(const bson::OwnedValue& name, int64_t before,
                                               const bson::Document& measurement);
// Errors: kCorrupt, when that is no document of this form; peers may send anything.
[[nodiscard]] Result<Measurement> read_measurement(const bson::Document& document);

}  // namespace outrigger::series
