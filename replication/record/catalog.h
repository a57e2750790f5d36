// The catalogue as documents: what a collection is (its options, its indexes) travels as a document
// of its own, in a namespace that no store has.
//
// The problem: a change of the catalogue must reach every site in causal order with the data, be
// put back after a crash of the store, and where two sites change the same thing end the same
// everywhere, with what lost to be seen. The idea: all of that documents do already. So each
// collection is one,
//
//   {_id: "db.collection", options: {NAME: [value], ...}, indexes: {NAME: [keys, rest], ...}}
//
// which the store shows (store/store.h) from what it holds, and makes true when it is written. It
// is always there: one of no collection has no `options`. An option, and an index, is one value to
// a merge (arrays are), so that it never mixes two sites' validators. Keys stand in order:
// [["a", 1], ["b", -1]]; `rest` is the index as listIndexes gives it without key and name. One that
// is being built is an empty array: it is neither there nor away. The names of indexes are escaped:
// they may hold what no path can.
//
// A drop takes away `options` and all indexes. A collection is wanted while it has either, and
// stays while it holds documents. That of a time series takes away its `contents`, too: a field
// that no collection has, so that when it was last dropped is remembered also once it is made anew.
// Measurements whose author had not heard of that are gone with it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/bson/bson.h"
#include "replication/record/change.h"
#include "replication/record/effect.h"
#include "replication/record/prepare.h"

namespace outrigger {

inline constexpr std::string_view kCatalogNs = "outrigger.catalog";

struct CatalogEntry {
  std::string ns;
  bool exists = false;                                           // it has `options`
  std::map<std::string, bson::OwnedValue, std::less<>> options;  // as mongod has them
  std::map<std::string, bson::OwnedValue, std::less<>> indexes;  // by name: arrays [keys, rest]
  std::set<std::string, std::less<>> building;                   // indexes that are not there yet
  // Reads documents of other collections, and has none of its own: options are what it shows.
  [[nodiscard]] bool is_view() const { return options.contains("viewOn"); }
  // Holds no documents but measurements (series/measurement.h).
  [[nodiscard]] bool is_series() const { return options.contains("timeseries"); }
  friend bool operator==(const CatalogEntry&, const CatalogEntry&) = default;
};

[[nodiscard]] std::string catalog_document(const CatalogEntry& entry);
// Errors: kCorrupt, when that is no document of this form; peers may send anything.
[[nodiscard]] Result<CatalogEntry> catalog_entry(const bson::Document& document);

// What `spec`, of listIndexes, is in an entry, and back. Errors: kCorrupt.
[[nodiscard]] bson::OwnedValue catalog_index(const bson::Document& spec);
[[nodiscard]] Result<std::string> index_spec(std::string_view name, const bson::OwnedValue& index);

// What leads from one to the other, of one collection.
[[nodiscard]] std::vector<PathChange> catalog_changes(const CatalogEntry& before,
                                                      const CatalogEntry& after);

// All that it is, for who knows nothing of it.
[[nodiscard]] std::vector<PathChange> catalog_definition(const CatalogEntry& entry);

// All of it is taken away, also what the store has not made yet.
[[nodiscard]] std::vector<PathChange> catalog_drop(const CatalogEntry& before);
// What a drop of a time series takes away besides.
[[nodiscard]] const Path& catalog_contents();
[[nodiscard]] bool drops_contents(const DocumentEffects& effects);

// One write of a path of the document, as merging makes them (store/store.h). Errors: kCorrupt.
[[nodiscard]] Status set_in_catalog(CatalogEntry& entry, const Path& path,
                                    const bson::OwnedValue& value);
[[nodiscard]] Status unset_in_catalog(CatalogEntry& entry, const Path& path);

// What is prepared of a change of it; `before`: catalog_document() of what it was.
[[nodiscard]] PreparedDocument prepared_entry(const std::string& ns, std::string before);
// The change that is recorded of it.
[[nodiscard]] DocumentChange catalog_change(const std::string& ns, std::vector<PathChange> changes);

}  // namespace outrigger
