// What the app of a small world writes, and what it does to arrays.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "config/settings.h"
#include "replication/bson/bson.h"
#include "replication/merge/merge.h"

namespace outrigger::merge {

[[nodiscard]] bson::OwnedValue array_of_values(const std::vector<bson::OwnedValue>& values);
[[nodiscard]] std::vector<bson::OwnedValue> values_in(const bson::Value& array);

class RandomValues {
 public:
  // `random` is borrowed. add_only: nothing that keeps increments from adding up exactly.
  RandomValues(std::mt19937_64& random, bool add_only) : random_(random), add_only_(add_only) {}

  [[nodiscard]] bson::OwnedValue value();
  [[nodiscard]] bson::OwnedValue delta();
  [[nodiscard]] bson::OwnedValue id(const std::string& id);
  [[nodiscard]] bson::OwnedValue fresh();  // was never given before
  // What stands in arrays: few different values, so that some are equal.
  [[nodiscard]] bson::OwnedValue item();
  [[nodiscard]] bson::OwnedValue document_item();
  [[nodiscard]] bson::OwnedValue array();

 private:
  size_t pick(size_t count) { return random_() % count; }

  std::mt19937_64& random_;
  const bool add_only_;
  int32_t counter_ = 0;
};

// What the app does to one document, put as the store and as the capture see it.
struct AppWrite {
  DocumentChange change;
  std::optional<std::string> after;  // the stored document, or deleted
};

// The store's own idea of paths, on plain bytes. kBlocked: something on the way is no document.
struct Found {
  enum { kValue, kMissing, kBlocked } what = kMissing;
  bson::Value value;
};
[[nodiscard]] Found find_path(const bson::Document& document, const Path& path, size_t from = 0);
// `document` with `path` set (containers made as needed) or, without a value, unset.
[[nodiscard]] std::string with_path(const bson::Document& document, const Path& path,
                                    const std::optional<bson::OwnedValue>& value, size_t from = 0);

struct Published {
  Hlc prev = 0;
  std::shared_ptr<const Record> record;
};

// Where arrays are.
inline const std::vector<Path> kLists = {{"l"}, {"c", "l"}};

class RandomEdits {
 public:
  // Both are borrowed. `sets`: of equal elements there is one.
  RandomEdits(std::mt19937_64& random, RandomValues& values, bool sets)
      : random_(random), values_(values), sets_(sets) {}

  // $push, $addToSet, $pull, $pop, and the edit of an element, if the document lets it. `change`
  // says of which document. `state`: what its site remembers of it.
  [[nodiscard]] std::optional<AppWrite> edit(DocumentChange change, const std::string& document,
                                             const DocumentState& state);
  // Likewise, and moves, of documents that are there once in all of the world.
  [[nodiscard]] std::optional<AppWrite> append_or_pull(DocumentChange change,
                                                       const std::string& document,
                                                       const DocumentState& state);
  // Adds an element {k: its name, q: 0} to `e`, or writes into one. `counted`: what was added to q,
  // by the name.
  [[nodiscard]] AppWrite count_inside(DocumentChange change, const std::string& document,
                                      std::map<std::string, int64_t>& counted);
  // By an upsert that makes the document, which has the rest already.
  [[nodiscard]] std::optional<PathChange> push_at_birth(const bson::Document& document);

 private:
  size_t pick(size_t count) { return random_() % count; }
  // $addToSet, $pull, $pop, an element or the whole array that is set.
  [[nodiscard]] std::optional<AppWrite> edit_set(DocumentChange change, const std::string& document,
                                                 const Path& path, const Found& now,
                                                 std::vector<bson::OwnedValue> all);
  [[nodiscard]] std::optional<AppWrite> edit_inside(DocumentChange change,
                                                    const std::string& document, const Path& path,
                                                    const Found& now,
                                                    std::vector<bson::OwnedValue> all);
  // Those of `all` that are documents, in another order, as an array that is assigned whole. `key`:
  // what tells them apart.
  [[nodiscard]] AppWrite reorder(DocumentChange change, const std::string& document,
                                 const Path& path, const Found& now,
                                 std::vector<bson::OwnedValue> all, const std::string& key);
  // `all`, whose last one is new: it and some others move to some place, another one changes, and
  // the array is assigned whole.
  [[nodiscard]] AppWrite assign_by_key(DocumentChange change, const std::string& document,
                                       const Found& now, std::vector<bson::OwnedValue> all);
  [[nodiscard]] std::optional<ElementPart> write_into(bson::OwnedValue& element);
  // What an append tells of the array before, where no image was taken.
  void forget_base(AppWrite& append, const DocumentState& state);

  std::mt19937_64& random_;
  RandomValues& values_;
  const bool sets_;
};

// What `l` of a document must be where arrays are only edited, by what each record added, moved and
// took away, as JSON.
[[nodiscard]] std::string list_by_history(const std::map<Origin, std::vector<Published>>& log,
                                          const std::string& id);

// Rules of every kind for values beside each other, some in containers that are assigned whole.
[[nodiscard]] Settings contested();
// Arrays are sets; what was taken away from one stays away.
[[nodiscard]] Settings removals_win();
// Sums stay within bounds; there are three kinds of sites, one of which has none.
[[nodiscard]] Settings bounded(size_t site);

// All that may be left of a document when everything is stable: the names of elements.
[[nodiscard]] bool is_only_settled_lists(const Incarnation& incarnation);

[[nodiscard]] DocumentChange change_of(DocumentChange::Kind kind, const std::string& id);
// {$set: {_id: 1.0}} where it was 1.
[[nodiscard]] AppWrite write_of_id(RandomValues& values, const std::string& id,
                                   const std::string& document);
// Of a document that is to come back whole should anybody have written to it.
[[nodiscard]] AppWrite yielding_removal(const std::string& id, const std::string& document,
                                        std::mt19937_64& random);

}  // namespace outrigger::merge
