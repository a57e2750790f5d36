// Indexes that are relaxed, opened, closed and made unique again (kept_keys.h has the idea). Each
// is noted on disk before it is touched, and what the note says is made so after a crash of the
// sidecar or in another run of the store.
//
// What the store refuses is tried again: an index that cannot be relaxed is what it was, and its
// documents wait; one that cannot be closed, or is away and cannot be made, has an alarm, and is
// looked at in each step. Nothing is made that an app drops meanwhile: who makes an index without
// having the collection to himself holds its entry of the catalogue.
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

// How an app is kept from changing the catalogue's entry of a collection.
struct EntryLock {
  std::function<bool(const std::string& ns)> take;  // false: not now
  std::function<void()> release;
};

enum class Opened : uint8_t {
  kOpen,   // what it refused it takes now, until close()
  kLater,  // it is being made, or the store refuses to change it: ask again
  kNot,    // it is none of ours: an app has prepared it
};

// One thread's: the one that applies. Errors: of the store, the log.
class KeptGuards {
 public:
  // Everything is borrowed and outlives this. `admitted`: may the store that answers be used?
  KeptGuards(SiteParts& site, KeptEntries& entries, outbox::CommitThread& commit, Store& store,
             EntryLock lock, std::function<Status()> admitted,
             std::function<void(const std::string&)> warn)
      : site_(site),
        entries_(entries),
        commit_(commit),
        store_(store),
        lock_(std::move(lock)),
        admitted_(std::move(admitted)),
        warn_(std::move(warn)) {}

  // As KeptKeys has them.
  [[nodiscard]] Result<Opened> make_ready(const std::string& ns);
  [[nodiscard]] Result<Opened> open(const std::string& ns, const std::string& index);
  [[nodiscard]] bool has_open() const { return !open_.empty(); }
  [[nodiscard]] Status close();
  [[nodiscard]] Status put_right();

  // In each step: what could not be closed, what is away, and what another run of the store may
  // have forgotten.
  [[nodiscard]] Status look_again();
  // Those that are not ours any more, whoever has dropped them.
  void sweep();
  // No document is left that shares a key there: it is unique again. What keeps it from that, if
  // something does: the duplicates that MongoDB has found.
  [[nodiscard]] Result<GuardChange> retire(const RelaxedIndex& index);
  void tell_once(const RelaxedIndex& index, const std::string& what);
  // It has been away, or open to everybody: documents may share keys in it that nobody has noted.
  // So it is until they are looked at; what a process that has ended knew, nobody knows.
  [[nodiscard]] bool is_suspect(const RelaxedIndex& index) const;
  void looked_at(const RelaxedIndex& index);

 private:
  struct Pause {
    RelaxedIndex index;
    int64_t until_ms = 0;
    int64_t ms = 0;
  };

  enum class Aim : uint8_t { kOpened, kClosed, kMadeUnique };
  [[nodiscard]] bool is_paused(const RelaxedIndex& index, Aim aim) const;
  void pause(const RelaxedIndex& index, Aim aim);
  [[nodiscard]] Result<Opened> relax(RelaxedIndex index);
  [[nodiscard]] Result<Opened> not_relaxed(const RelaxedIndex& index, const GuardChange& guarded);
  void note_closing(const RelaxedIndex& index, const GuardChange& guarded);
  // What mongod said, and what else is known of why.
  [[nodiscard]] std::string why(const GuardChange& guarded);
  [[nodiscard]] Status close_again(const RelaxedIndex& index);
  [[nodiscard]] Status put_right(const RelaxedIndex& index, bool& changed, bool& left);
  [[nodiscard]] Status make_right(const RelaxedIndex& index, bool& changed);
  [[nodiscard]] Result<GuardChange> make_unique(const RelaxedIndex& index, bool& is_unique);
  [[nodiscard]] Status note(const RelaxedIndex& index);
  [[nodiscard]] Status forget(const RelaxedIndex& index);

  SiteParts& site_;
  KeptEntries& entries_;
  outbox::CommitThread& commit_;
  Store& store_;
  const EntryLock lock_;
  const std::function<Status()> admitted_;
  const std::function<void(const std::string&)> warn_;
  std::vector<RelaxedIndex> open_;
  std::map<std::string, RelaxedIndex> unclosed_;  // by namespace and name, which nobody locks
  std::string run_;                               // of the store, in which all was put right
  std::set<std::string> told_;
  std::set<std::string> looked_at_;  // by namespace and name: those that are not suspect
  // By namespace and name: what could not be changed is not tried at once, as it may take a scan.
  std::map<std::pair<std::string, Aim>, Pause> pauses_;
};

}  // namespace outrigger
