// A site's memory: what it has written, what it has applied, what it owes to whom.
//
// Local writes pass through in three steps, with the locks of their documents held by the caller:
//   begin   stamp and dependencies are taken, the intent is in the page cache before the command
//           goes to the store;
//   settle  the store has answered: effects, row changes and the retry entry are written as one
//           batch, the prepare goes away with it (or `drop`: nothing happened). Several writes may
//           take one step together: staged one by one, written by one append;
//   publish once the batch is synced and every lower stamp of this origin is settled, the record is
//           visible to peers and this site's vector entry moves.
// Peers' records come in as segments, wait in a bounded inbox until their dependencies are applied,
// and are taken by the applier. Reports of all members move stability; what is stable is collected.
//
// Thread-safe. No call blocks on the store or on an fsync; `begin` and `settle` write to the page
// cache. Callbacks run on the commit thread or the calling thread; they must be short and must not
// call back into the replica while they hold a lock of their own.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/limits.h"
#include "config/random.h"
#include "config/result.h"
#include "replication/causality/stability.h"
#include "replication/outbox/backend_note.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/outbox.h"
#include "replication/record/change.h"
#include "replication/record/outgoing.h"
#include "replication/record/prepare.h"
#include "replication/record/record.h"
#include "replication/site/lock_table.h"
#include "replication/site/site_hello.h"
#include "replication/site/staged_writes.h"
#include "replication/site/state/open_writes.h"
#include "replication/site/state/replica_status.h"
#include "replication/site/state/site_context.h"

namespace outrigger {

struct ElementNow;    // lost_element.h
struct LedgerEntry;   // ledger.h
struct LedgerPage;    // ledger.h
struct LedgerPlace;   // ledger.h
struct PathLife;      // path_life.h
struct PathQuestion;  // path_life.h
struct Replaced;      // ledger.h
enum class LedgerMark : uint8_t;
struct SiteParts;  // site_parts.h

// What the row of a document tells the capture of an update.
struct RowKnowledge {
  bool opaque = false;     // names may be repeated: its updates travel as the whole document
  bool set_aside = false;  // the store would not take it as it was merged
  // By increment, and by array that elements are added to: it can be recorded from the request and
  // the document afterwards.
  std::vector<bool> base_is_known;
  std::vector<bool> array_is_known;
};

class Replica {
 public:
  // `outbox`, `commit` and `clock` outlive the replica; `random` names it and this run of it. Reads
  // vectors, epoch and members from the outbox; takes a new epoch. Local writes are refused until
  // `open_for_writes`.
  [[nodiscard]] static Result<std::unique_ptr<Replica>> open(ReplicaOptions options,
                                                             outbox::Outbox& outbox,
                                                             outbox::CommitThread& commit,
                                                             const Clock& clock, Random& random);
  ~Replica();

  // ---- local writes; the caller holds the documents' locks from before begin until after settle
  // May writes be taken at all? kNoSpace (outbox full), kIo (outbox failed), kUnavailable (not open
  // yet).
  [[nodiscard]] Status admit() const;
  // Under the document's lock. kRecoverableByContent: what goes to the store next for this document
  // must wait until everything written so far is durable (see unsynced_documents.h).
  [[nodiscard]] Unsynced unsynced(std::string_view ns, std::string_view canonical_id) const;
  // Fills hlc and deps of `prepare`, stages it. Errors: as admit; nothing was staged then.
  [[nodiscard]] Result<UndecidedWrite> begin(Prepare prepare, StagedWrites& staged);
  // The write happened. Makes effects from the rows, stages record + rows + retry entries and the
  // removal of the prepare. An error means the outbox cannot be read, and the write is as undecided
  // as it was: the caller must not acknowledge it.
  [[nodiscard]] Status settle(UndecidedWrite& write, std::vector<DocumentChange> changes,
                              const std::vector<RetryEntry>& retries, StagedWrites& staged);
  // Nothing happened (an error, or nothing matched); retries may still remember the answer.
  void drop(UndecidedWrite& write, const std::vector<RetryEntry>& retries, StagedWrites& staged);
  // Into the page cache, as one batch: all of it or nothing. An error means the outbox has failed:
  // what was begun must not be sent, what was settled must not be acknowledged.
  [[nodiscard]] Status write(StagedWrites&& staged);
  // The same, one write by itself.
  [[nodiscard]] Result<UndecidedWrite> begin(Prepare prepare);
  [[nodiscard]] Status settle(UndecidedWrite& write, std::vector<DocumentChange> changes,
                              const std::vector<RetryEntry>& retries);
  [[nodiscard]] Status drop(UndecidedWrite& write, const std::vector<RetryEntry>& retries = {});
  // Calls `done` once everything written before this call is on disk (or the outbox has failed).
  // `needed_in`: see CommitThread.
  void when_durable(std::function<void(const Status&)> done,
                    std::chrono::microseconds needed_in = std::chrono::microseconds(0));
  // What of an update can be recorded without an image of the document. Under its lock. `pushes`:
  // of arrays that elements are added to, behind all others.
  [[nodiscard]] RowKnowledge row_knowledge(std::string_view ns, std::string_view canonical_id,
                                           std::span<const Path* const> increments,
                                           std::span<const Path* const> pushes) const;
  // A collection that was dropped, as far as is remembered, and that none but documents have made
  // since: others do not know it as one that is wanted.
  [[nodiscard]] bool is_dropped(std::string_view ns) const;
  [[nodiscard]] Result<std::optional<std::string>> retry(const std::string& key) const;
  // The session and local port of a backend connection, noted before its first write, for the
  // fence.
  // The replica outlives the note.
  [[nodiscard]] Result<outbox::BackendNote> note_backend(const std::string& session_id,
                                                         const std::string& local_address);
  // The same of an app's session in which a transaction has written.
  [[nodiscard]] Result<outbox::BackendNote> note_transaction(const std::string& session_id);

  // ---- exchange with peers
  [[nodiscard]] SiteHello hello() const;
  [[nodiscard]] Report report();
  // Latest reports of all members (ours first), to be relayed.
  [[nodiscard]] std::vector<Report> reports();
  // What a peer lacks whose records are `has`, ours and relayed, at most about bytes_max of records
  // (at least one when there is any; a large one goes alone). Only published and durably applied
  // records. `told`: how far it has been promised that there are no others; `relay`: pass on
  // others' promises, too. Updates nothing.
  [[nodiscard]] Result<OutgoingBatch> read_batch(const VersionVector& has, size_t bytes_max,
                                                 const VersionVector& told = {},
                                                 bool relay = true) const;
  // Takes into the inbox what `from`, a run of a site, has sent; duplicates are dropped, what
  // belongs to another history raises an alarm. kUnavailable when the inbox is full (ask again
  // later), kCorrupt/kRefused when a segment cannot be (gap, our origin ahead of us). Of one thread
  // at a time.
  [[nodiscard]] Status offer(std::vector<Segment> segments, const Origin& from);
  // A report that `from` has sent, of itself or relayed. Of a site that has a link to us only what
  // it says itself counts.
  void hear(const Report& report, const Origin& from);
  // A link has opened: who is behind a site id. Until the same many calls of parted() its word
  // about itself comes from itself alone.
  void introduce(const SiteHello& peer);
  void parted(const SiteHello& peer);
  // The other members as far as they are known here, and what a peer knows of them: only sites
  // that have been introduced can be the origin of anything. What a site says goes before what
  // others say of it.
  [[nodiscard]] std::vector<MemberId> members() const;
  void hear_members(const std::vector<MemberId>& members);
  // Called after our vector moved, a record was published or a report changed; coalesced by the
  // receiver. Add before traffic starts.
  void on_progress(std::function<void()> wake);
  // What a crash of the store cannot take back. answered(): read it, then see the store journal
  // something; journaled(): then tell what was read (recovery/redo.h).
  [[nodiscard]] VersionVector answered() const;
  [[nodiscard]] VersionVector journaled() const;
  void journaled(const VersionVector& answered);
  // Vector of what is applied and durable here: what we acknowledge.
  [[nodiscard]] VersionVector applied() const;

  // ---- operations
  [[nodiscard]] ReplicaStatus status() const;
  // Of a site its name; of one that is not known any more its id in hex.
  [[nodiscard]] std::function<std::string(const SiteId&)> site_names() const;
  // A page of the ledger, newest first, from `from` on: at most `limit` entries and about
  // limits::kConflictsBytesMax of them, but at least one if there is one.
  [[nodiscard]] Result<LedgerPage> conflicts(size_t limit, const LedgerPlace& from) const;
  // The entry of that name, and noting what was done about it (LedgerKeeper::find and mark).
  [[nodiscard]] Result<LedgerEntry> conflict(const std::string& name) const;
  [[nodiscard]] Status mark_conflict(const std::string& key, LedgerMark mark,
                                     const std::optional<Replaced>& replaced);
  // Where what lost in an element of an array stands in its document, as the store shows it.
  [[nodiscard]] Result<ElementNow> element_now(const LedgerEntry& entry, std::string_view key,
                                               const bson::Document& document) const;
  // What is known of a path of a document (path_life.h).
  [[nodiscard]] Result<PathLife> explain(const PathQuestion& question) const;
  // Records set aside because they may not be applied, oldest first. Their ids in the ledger are
  // their names, their values their bytes.
  [[nodiscard]] Result<std::vector<LedgerEntry>> quarantined(size_t limit) const;
  // Has the applier take that record after all. kNotFound; kRefused when it still may not, or not
  // any more.
  [[nodiscard]] Status retry_quarantined(const std::string& name);
  void open_for_writes();
  // Rows are collected under their documents' locks, taken from here; without a table collect_step
  // moves stability and the outbox's floor only. The Applier attaches the one it is given.
  void attach(LockTable& locks);
  // One pass of stability and collection, bounded; call about once a second (applier thread).
  [[nodiscard]] Status collect_step(size_t documents_max);

  // What it is made of: for the applier and recovery.
  [[nodiscard]] SiteParts& parts() const { return *parts_; }

 private:
  explicit Replica(std::shared_ptr<SiteParts> parts);
  std::shared_ptr<SiteParts> parts_;  // callbacks under way on the commit thread hold it weakly
};

}  // namespace outrigger
