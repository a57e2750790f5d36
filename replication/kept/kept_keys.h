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
// an index of which none is left is made unique again. Should MongoDB find duplicates all the same
// (written while a large index was away), they get entries, too.
//
// A crash anywhere: the index is noted before it is touched, and what the note says is made so at
// start, and when another run of the store answers: one that is open is closed, and one that is
// away is made, unless somebody has dropped it. A document is noted with what brings it back
// (apply/unique_owners.h), which is done again until it is in the log.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/kept/kept_entries.h"
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
           std::function<Status()> admitted, std::function<void(const std::string&)> warn)
      : site_(site),
        outbox_(outbox),
        commit_(commit),
        store_(store),
        admitted_(std::move(admitted)),
        warn_(std::move(warn)),
        entries_(site, outbox, store, warn_) {}

  // Are documents of the collection that share a key all shown? By the rules, and where the store
  // can do it.
  [[nodiscard]] Result<bool> keeps(const std::string& ns);

  enum class Opened : uint8_t {
    kOpen,   // what it refused it takes now, until close()
    kLater,  // it is being made, or the store refuses to change it: ask again
    kNot,    // it is none of ours: an app has prepared it
  };
  // Of those of the collection that are being made: until they are there, nothing is put in.
  [[nodiscard]] Result<Opened> make_ready(const std::string& ns);
  // The collection is locked against all others until close() has succeeded. That fails as refused
  // where it is to be tried again.
  [[nodiscard]] Result<Opened> open(const std::string& ns, const std::string& index);
  [[nodiscard]] bool has_open() const { return !open_.empty(); }
  [[nodiscard]] Status close();

  // What is to be known of a document that has been put into the store goes into the batch.
  [[nodiscard]] Status note(const std::string& ns, const std::string& document,
                            outbox::Batch& batch);

  // All indexes are what their notes say. At start, before anybody writes.
  [[nodiscard]] Status put_right();
  // Looks again at some of what is noted, if there is a reason to. True: there is more. Those in
  // `disputed` share a key, and are not to any more by the rules.
  [[nodiscard]] Result<bool> step(std::vector<KeptDocument>& disputed);
  // A write of the catalogue has been made true.
  void told(const StoreWrite& write);

 private:
  [[nodiscard]] bool is_to_keep(const std::string& ns) const;
  [[nodiscard]] bool is_paused(const RelaxedIndex& index) const;
  [[nodiscard]] Result<Opened> relax(RelaxedIndex index);
  void note_closing(const RelaxedIndex& index, const GuardChange& guarded);
  [[nodiscard]] Status close_again();
  [[nodiscard]] Status look_at(const KeptDocument& document, std::vector<KeptDocument>& disputed);
  [[nodiscard]] Status follow_run();
  [[nodiscard]] Status put_right(const RelaxedIndex& index, bool& changed);
  [[nodiscard]] Status retire(const RelaxedIndex& index);
  [[nodiscard]] Status note_duplicates(const RelaxedIndex& index, const GuardChange& found);
  [[nodiscard]] Status forget(const RelaxedIndex& index);
  [[nodiscard]] Status write(outbox::Batch&& batch);
  void tell_once(const RelaxedIndex& index, const std::string& what);

  SiteParts& site_;
  outbox::Outbox& outbox_;
  outbox::CommitThread& commit_;
  Store& store_;
  const std::function<Status()> admitted_;
  const std::function<void(const std::string&)> warn_;
  KeptEntries entries_;
  std::vector<RelaxedIndex> open_;
  std::map<std::string, RelaxedIndex> unclosed_;  // by namespace and name, which nobody locks
  std::string cursor_;
  std::string run_;    // of the store, in which all was put right
  std::string asked_;  // likewise, which was asked whether it can
  bool can_ = false;   // it can
  std::set<std::string> told_;
  // By namespace and name: what could not be changed is not tried at once, as it may take a scan.
  std::map<std::string, int64_t> not_before_;
};

}  // namespace outrigger
