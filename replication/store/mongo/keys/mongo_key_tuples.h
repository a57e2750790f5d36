// The keys that an index of several fields has of a document, each as a tuple of values.
//
// Where documents lie in arrays, each element gives a tuple of its own. Under {"a.x", "a.y"}
// {a: [{x: 1, y: 2}, {x: 3, y: 4}]} has (1, 2) and (3, 4), and not (1, 4). A query that asks for
// the values field by field finds what has (1, 4), too; these tell whether it shares a key. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "replication/bson/bson.h"
#include "replication/record/path.h"

namespace outrigger::mongo {

// A value of each field: null where the document has none.
using KeyTuple = std::vector<bson::Value>;

// They borrow from `document`. None: it has more of them than one may have in an index.
[[nodiscard]] std::vector<KeyTuple> key_tuples(const bson::Document& document,
                                               const std::vector<Path>& fields);
// As arrays, for who compares them as an index does: under its collation.
[[nodiscard]] std::string tuples_array(const std::vector<KeyTuple>& tuples);

// Keys as an index without a collation compares them.
class KeySet {
 public:
  explicit KeySet(const std::vector<KeyTuple>& tuples);
  [[nodiscard]] bool has_one_of(const std::vector<KeyTuple>& tuples) const;

 private:
  [[nodiscard]] static std::vector<std::string> key_of(const KeyTuple& tuple);

  std::set<std::vector<std::string>> keys_;
};

}  // namespace outrigger::mongo
