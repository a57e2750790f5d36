// Documents that share a key of a unique index and are all shown: `unique: keep`.
//
// The problem: two sites that were apart have each taken in a document with one e-mail address.
// Both are to be seen everywhere, nothing may be added to them, and yet what apps write is to be
// refused as before where it would make one more. The idea: MongoDB's own prepareUnique
// (store/key_guard.h). A site that meets the first such document relaxes its own index: it drops it
// and makes it anew as one that minds nothing (*open*), puts the document in, and tells the index
// to refuse new duplicates from then on. For the next ones it is opened and closed. Nobody else
// writes to the collection while an index of it is open. What the index is for stays as it was:
// nothing of it is told to other sites, and to everybody but MongoDB it is unique
// (store/relaxed_indexes.h).
//
// Of documents that share a key each but the first, by _id, has an open entry in the ledger: the
// same at every site, in whatever order they came. What happens to one of them is a reason to look
// again, and so is time. An entry closes when its document shares the key with none before it, and
// an index of which none is left is made unique again. What apps write while an index is away, or
// stands open, nobody can look up before it is back: then, and once after a start, MongoDB is asked
// for all its duplicates, and those that nobody has noted get entries, too.
//
// A crash anywhere: the index is noted before it is touched, and what the note says is made so at
// start, and when another run of the store answers: one that is open is closed, and one that is
// away is made, unless somebody has dropped it. A document is noted with what brings it back
// (apply/unique_owners.h), which is done again until it is in the log.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/kept/kept_entries.h"
#include "replication/kept/kept_guards.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/outbox.h"
#include "replication/site/site_parts.h"
#include "replication/store/store.h"

namespace outrigger {

// One thread's: the one that applies. Errors: of the store, the log.
class KeptKeys {
 public:
  // Everything is borrowed and outlives this. `admitted`: may the store that answers be used?
  KeptKeys(SiteParts& site, outbox::Outbox& outbox, outbox::CommitThread& commit, Store& store,
           EntryLock lock, std::function<Status()> admitted,
           std::function<void(const std::string&)> warn)
      : site_(site),
        store_(store),
        admitted_(std::move(admitted)),
        entries_(site, outbox, store, warn),
        guards_(site, entries_, commit, store, std::move(lock), admitted_, std::move(warn)) {}

  // Are documents of the collection that share a key all shown? By the rules, and where the store
  // can do it.
  [[nodiscard]] Result<bool> keeps(const std::string& ns);

  // Of those of the collection that are being made: until they are there, nothing is put in.
  [[nodiscard]] Result<Opened> make_ready(const std::string& ns) { return guards_.make_ready(ns); }
  // The collection is locked against all others until close() has succeeded. That fails as refused
  // where it is to be tried again.
  [[nodiscard]] Result<Opened> open(const std::string& ns, const std::string& index);
  [[nodiscard]] bool has_open() const { return guards_.has_open(); }
  [[nodiscard]] Status close() { return guards_.close(); }

  // What is to be known of a document that has been put into the store: it goes into the batch, and
  // is known once that is written.
  [[nodiscard]] Status note(const std::string& ns, const std::string& document,
                            KeptChanges& changes);
  void add_to(outbox::Batch& batch, const KeptChanges& changes) { entries_.add_to(batch, changes); }
  void written(const KeptChanges& changes) { entries_.written(changes); }

  // All indexes are what their notes say. At start, before anybody writes.
  [[nodiscard]] Status put_right() { return guards_.put_right(); }
  // Looks again at some of what is noted, if there is a reason to. True: there is more. Those in
  // `disputed` share a key, and are not to any more by the rules.
  [[nodiscard]] Result<bool> step(std::vector<KeptDocument>& disputed);
  // A write of the catalogue has been made true.
  [[nodiscard]] Status told(const StoreWrite& write);

 private:
  [[nodiscard]] bool is_to_keep(const std::string& ns) const;
  [[nodiscard]] Status look_at(const KeptDocument& document, std::vector<KeptDocument>& disputed);
  [[nodiscard]] Status note_duplicates(const RelaxedIndex& index, const GuardChange& found);

  SiteParts& site_;
  Store& store_;
  const std::function<Status()> admitted_;
  KeptEntries entries_;
  KeptGuards guards_;
  std::string cursor_;
  std::string asked_;  // the run of the store that was asked whether it can; empty: ask again
  bool can_ = false;   // it can
};

}  // namespace outrigger
