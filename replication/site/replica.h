// A site's memory: what it has written, what it has applied, what it owes to whom.
//
// Local writes pass through in three steps, with the locks of their documents held by the caller:
//   begin   stamp and dependencies are taken, the intent is in the page cache before the command
//           goes to the store;
//   settle  the store has answered: effects, row changes and the retry entry are written as one
//           batch, the prepare goes away with it (or `drop`: nothing happened). Several writes may
//           take one step together: staged one by one, written by one append;
//   publish once the batch is synced and every lower stamp of this origin is settled, the record is
//           visible to peers and our own vector entry moves.
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
#include "config/result.h"
#include "replication/causality/stability.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/outbox.h"
#include "replication/record/change.h"
#include "replication/record/outgoing.h"
#include "replication/record/prepare.h"
#include "replication/record/record.h"
#include "replication/site/lock_table.h"
#include "replication/site/site_hello.h"

namespace outrigger {

class Policy;

struct ReplicaOptions {
  std::string site;
  std::vector<std::string> members;  // every site's name, ours included
  std::string policy_hash;
  int64_t max_ahead_ms = 60'000;
  size_t inbox_bytes_max = limits::kInboxBytesMax;
  uint64_t ledger_bytes_max = 1ULL << 30;    // beyond, the oldest closed entries go
  size_t origins_max = limits::kOriginsMax;  // what falls to each member are its epochs
  // Which namespaces travel; empty: all.
  std::function<bool(std::string_view ns)> replicates;
  // How writes to paths merge; null: as by default. It outlives the replica.
  const Policy* policy = nullptr;
  // One line for the log, once for each alarm; any thread.
  std::function<void(const std::string&)> alarm;
  std::function<void(const std::string&)> warn;  // the same for what is merely to be known
};

// The ticket of a local write between begin and settle. Move only by convention: exactly one settle
// or drop per begin.
struct LocalWrite {
  Hlc hlc = 0;
  VersionVector deps;
};

// Whether a document has a local write that is settled, but not on disk yet as settled, and how a
// crash would settle it.
enum class Unsynced : uint8_t { kNone, kRecoverableFromOplog, kRecoverableByContent };

// Steps of several local writes, to be written together: an append costs much the same for one as
// for ten. What is staged has not happened yet; whoever staged it goes on only after
// Replica::write. Of one thread.
class StagedWrites {
 public:
  [[nodiscard]] bool empty() const { return batch_.empty(); }
  [[nodiscard]] size_t bytes() const { return batch_.bytes(); }

 private:
  friend class Replica;
  struct Settled {
    Hlc hlc = 0;
    bool wrote = false;  // a record
    size_t bytes = 0;    // of the record
  };
  outbox::Batch batch_;
  std::vector<Settled> settled_;
  int64_t rows_ = 0;                   // more rows than before
  std::vector<std::string> detached_;  // row keys of documents set aside that changed
};

struct LedgerEntry;  // ledger.h
struct LedgerPage;   // ledger.h
struct LedgerPlace;  // ledger.h

struct PeerProgress {
  std::string site;
  std::string site_id;  // hex; empty: never met
  VersionVector acked;  // applied there, as last reported
  uint64_t records_behind = 0;
  uint64_t bytes_behind = 0;
  int64_t oldest_behind_ms = 0;  // age of the oldest record it lacks; 0 when none
  int64_t last_heard_ms = 0;     // wall clock; 0: never in this run
};

struct ReplicaStatus {
  std::string site;
  std::string site_id;
  uint64_t epoch = 0;
  VersionVector applied;
  VersionVector stable;
  Hlc issued = 0;
  uint64_t outbox_records = 0;
  uint64_t outbox_bytes = 0;
  uint64_t inbox_records = 0;
  uint64_t inbox_bytes = 0;
  uint64_t rows = 0;  // documents with metadata (estimate)
  uint64_t ledger_entries = 0;
  uint64_t ledger_bytes = 0;
  uint64_t ledger_bytes_max = 0;
  uint64_t ledger_dropped = 0;   // closed entries, to stay below it, since the data_dir was made
  int64_t ledger_oldest_ms = 0;  // of the oldest entry kept; 0: there is none
  uint64_t not_applied = 0;      // documents set aside
  uint64_t quarantined = 0;      // records set aside
  uint64_t open_writes = 0;      // begun, not settled
  int64_t oldest_open_write_ms = 0;
  std::optional<Error> outbox_failure;
  std::vector<std::string>
      held;  // origins held back and why (clock too far ahead, locked document)
  std::vector<std::string> alarms;  // what should never happen and needs a person
  std::vector<PeerProgress> peers;
  uint64_t applied_records = 0;    // of peers, in this run; like the three below
  uint64_t duplicate_records = 0;  // offered again
  uint64_t collected_rows = 0;
  std::map<std::string, uint64_t> conflicts;  // ledger entries written, by kind
};

// What the row of a document tells the capture of an update.
struct RowKnowledge {
  bool opaque = false;  // names may be repeated: its updates travel as the whole document
  std::vector<bool> base_is_known;  // by increment: it can be recorded from the request alone
};

class Replica {
 public:
  // `outbox`, `commit` and `clock` outlive the replica. Reads vectors, epoch and members from the
  // outbox; takes a new epoch. Local writes are refused until `open_for_writes`.
  [[nodiscard]] static Result<std::unique_ptr<Replica>> open(ReplicaOptions options,
                                                             outbox::Outbox& outbox,
                                                             outbox::CommitThread& commit,
                                                             const Clock& clock);
  ~Replica();

  // ---- local writes; the caller holds the documents' locks from before begin until after settle
  // May writes be taken at all? kNoSpace (outbox full), kIo (outbox failed), kUnavailable (not open
  // yet).
  [[nodiscard]] Status admit() const;
  // Under the document's lock. kRecoverableByContent: what goes to the store next for this document
  // must wait until everything written so far is durable (see unsynced_documents.h).
  [[nodiscard]] Unsynced unsynced(std::string_view ns, std::string_view canonical_id) const;
  // Fills hlc and deps of `prepare`, stages it. Errors: as admit; nothing was staged then.
  [[nodiscard]] Result<LocalWrite> begin(Prepare prepare, StagedWrites& staged);
  // The write happened. Makes effects from the rows, stages record + rows + retry entries and the
  // removal of the prepare. An error means the outbox cannot be read: the caller must not
  // acknowledge; recovery settles the prepare.
  [[nodiscard]] Status settle(const LocalWrite& write, std::vector<DocumentChange> changes,
                              const std::vector<RetryEntry>& retries, StagedWrites& staged);
  // Nothing happened (an error, or nothing matched); retries may still remember the answer.
  void drop(const LocalWrite& write, const std::vector<RetryEntry>& retries, StagedWrites& staged);
  // Into the page cache, as one batch: all of it or nothing. An error means the outbox has failed:
  // what was begun must not be sent, what was settled must not be acknowledged.
  [[nodiscard]] Status write(StagedWrites&& staged);
  // The same, one write by itself.
  [[nodiscard]] Result<LocalWrite> begin(Prepare prepare);
  [[nodiscard]] Status settle(const LocalWrite& write, std::vector<DocumentChange> changes,
                              const std::vector<RetryEntry>& retries);
  [[nodiscard]] Status drop(const LocalWrite& write, const std::vector<RetryEntry>& retries = {});
  // Calls `done` once everything written before this call is on disk (or the outbox has failed).
  // `needed_in`: see CommitThread.
  void when_durable(std::function<void(const Status&)> done,
                    std::chrono::microseconds needed_in = std::chrono::microseconds(0));
  // What of an update can be recorded without an image of the document. Under its lock.
  [[nodiscard]] RowKnowledge row_knowledge(std::string_view ns, std::string_view canonical_id,
                                           std::span<const Path* const> increments) const;
  [[nodiscard]] Result<std::optional<std::string>> retry(const std::string& key) const;
  // The lsid and local port of a backend connection, noted before its first write, for the fence.
  [[nodiscard]] Status note_backend(const std::string& lsid_id, const std::string& local_address);
  void forget_backend(const std::string& lsid_id);

  // ---- exchange with peers
  [[nodiscard]] SiteHello hello() const;
  [[nodiscard]] Report report();
  // Latest reports of all members (own first), to be relayed.
  [[nodiscard]] std::vector<Report> reports();
  // What a peer lacks whose records are `has`, own and relayed, at most about bytes_max of records
  // (at least one when there is any; a large one goes alone). Only published and durably applied
  // records. `told`: how far it has been promised that there are no others; `relay`: pass on
  // others' promises, too. Updates nothing.
  [[nodiscard]] Result<OutgoingBatch> read_batch(const VersionVector& has, size_t bytes_max,
                                                 const VersionVector& told = {},
                                                 bool relay = true) const;
  // Takes into the inbox what `from`, a run of a site, has sent; duplicates are dropped, what
  // belongs to another history raises an alarm. kUnavailable when the inbox is full (ask again
  // later), kCorrupt/kRefused when a segment cannot be (gap, own origin ahead of us).
  [[nodiscard]] Status offer(std::vector<Segment> segments, const Origin& from);
  // A report that `from` has sent, of itself or relayed. Of a site that has a link to us only its
  // own word counts.
  void hear(const Report& report, const Origin& from);
  // A link has opened: who is behind a site id. Until the same many calls of parted() its word
  // about itself comes from itself alone.
  void introduce(const SiteHello& peer);
  void parted(const SiteHello& peer);
  // The other members as far as they are known here, and what a peer knows of them: only sites
  // that have been introduced can be the origin of anything. A site's own hello goes before what
  // others say of it.
  [[nodiscard]] std::vector<MemberId> members() const;
  void hear_members(const std::vector<MemberId>& members);
  // Called after our vector moved, a record was published or a report changed; coalesced by the
  // receiver. Add before traffic starts.
  void on_progress(std::function<void()> wake);
  // Vector of what is applied and durable here: what we acknowledge.
  [[nodiscard]] VersionVector applied() const;

  // ---- operations
  [[nodiscard]] ReplicaStatus status() const;
  // A page of the ledger, newest first, from `from` on: at most `limit` entries and about
  // limits::kConflictsBytesMax of them, but at least one if there is one.
  [[nodiscard]] Result<LedgerPage> conflicts(size_t limit, const LedgerPlace& from) const;
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

 private:
  friend class Applier;
  friend class Recovery;
  struct Impl;
  explicit Replica(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // callbacks under way on the commit thread hold it weakly
};

}  // namespace outrigger
