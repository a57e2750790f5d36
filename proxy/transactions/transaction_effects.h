// What a transaction has done so far, document by document, as the changes that make its record.
//
// The problem: several statements may touch one document, and a record tells of a document once:
// two increments under one stamp would count as one. The idea: changes are put together in their
// order, as operations. Increments of one path add up, an assignment takes the place of what was
// done to its path and below, what was made and removed again never was. Where operations do not
// tell what is left (a field in a document that was born or replaced before, a value given and
// then incremented), the document is wanted: it is read in the transaction, before the commit.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replication/record/change.h"
#include "replication/record/prepare.h"
#include "replication/store/session_token.h"

namespace outrigger {

// Of one thread at a time.
class TransactionEffects {
 public:
  void add(DocumentChange change);
  // There is nothing to be recorded.
  [[nodiscard]] bool empty() const;
  // About what it holds.
  [[nodiscard]] size_t bytes() const { return bytes_; }

  // Documents to be shown before all of it can be told.
  struct Wanted {
    std::string ns;
    std::vector<bson::OwnedValue> ids;
  };
  [[nodiscard]] std::vector<Wanted> wanted() const;
  // A document of `ns` as the transaction leaves it.
  void show(const std::string& ns, const bson::Document& document);
  // All of it, in the order documents were first touched; nothing is left here. Nothing: a document
  // that was wanted has not been shown.
  [[nodiscard]] std::optional<std::vector<DocumentChange>> take();

 private:
  struct Touched {
    std::string ns;
    bson::OwnedValue id;
    bool was_removed = false;           // a document that was there before
    Removal removal = Removal::kPlain;  // of that
    std::string removed;                // that, as it was, if `removal` yields
    std::optional<DocumentChange> now;  // what became of it, or what stands in its place
    bool is_wanted = false;             // `now` makes or replaces it: with the document shown
    std::vector<Path> wanted_paths;     // of an update: their values there
    std::optional<std::string> shown;
  };

  Touched& touched(const DocumentChange& change);
  static void put(Touched& document, DocumentChange&& change);
  static void update(Touched& document, DocumentChange&& change);
  static void compose(Touched& document, PathChange&& change);
  static void count_of_birth(DocumentChange& birth, PathChange&& change);
  [[nodiscard]] static bool fill_in(Touched& document);

  std::vector<Touched> documents_;
  std::map<std::string, size_t> index_;  // namespace, 0x00, canonical _id -> documents_
  size_t bytes_ = 0;
};

// The prepare of a transaction that does this.
[[nodiscard]] Prepare prepare_of(const std::vector<DocumentChange>& changes,
                                 const SessionKey& session);

}  // namespace outrigger
