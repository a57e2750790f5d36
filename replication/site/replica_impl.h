// The inside of Replica, shared by its own files, the applier and recovery; nobody else includes
// it.
//
// One mutex guards everything that must be read or changed together: clock and vectors (a stamp and
// its dependencies are one reading), the writes under way, the inbox, stability. It is never held
// over a sync or a store call, nor while a callback runs.
//
// Two vectors, of records. `visible`: what local writes name as seen; it moves as soon as an apply
// batch's rows are durable, before its values are in the store (the documents are locked until
// then). `durable`: what is also in the store; the only one reported. Our own entry in `durable` is
// the last record published. Whatever they say is on disk as well: peers may forget what we say we
// have, and take us for a restored backup should we ever say less.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "config/limits.h"
#include "replication/causality/hybrid_clock.h"
#include "replication/causality/promises.h"
#include "replication/causality/stability.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/log_marks.h"
#include "replication/record/record_checks.h"
#include "replication/site/aside.h"
#include "replication/site/inbox.h"
#include "replication/site/replica.h"
#include "replication/site/unsynced_documents.h"

namespace outrigger {

// Keys of the `meta` family, and what others begin with: FORMATS.md, section 9.
namespace meta_keys {
inline constexpr const char* kSiteId = "site_id";
inline constexpr const char* kBound = "clock_bound";
inline constexpr const char* kIntent = "apply_intent";
inline constexpr const char* kLedgerDropped = "ledger_dropped";
inline constexpr const char* kOplogTime = "oplog_time";
inline constexpr const char* kVector = "vector/";
inline constexpr const char* kFloor = "floor/";
inline constexpr const char* kBackend = "backend/";
inline constexpr const char* kDetached = "detached/";
inline constexpr const char* kMember = "member/";
inline constexpr const char* kQuarantined = "quarantined/";
[[nodiscard]] std::string of_origin(const char* prefix, const Origin& origin);
// Nothing when the key is none of of_origin().
[[nodiscard]] std::optional<Origin> origin_in(const char* prefix, std::string_view key);
}  // namespace meta_keys

// A site that has as many epochs as fall to each (ReplicaOptions::origins_max), and this many,
// writes no more until old ones are retired.
using limits::kEpochsMin;
using limits::kQuarantinedMax;

// What stands in the retry table: an answer, and since when, so that it can expire.
[[nodiscard]] std::string encode_retry(int64_t wall_ms, const std::string& answer);
[[nodiscard]] Result<std::string> retry_answer(std::string_view bytes);
[[nodiscard]] std::optional<uint64_t> parse_sortable(std::string_view bytes);
// Everything written so far is on disk when this returns. Blocks: never on an event loop.
[[nodiscard]] Status sync_now(outbox::CommitThread& commit);

struct Replica::Impl : std::enable_shared_from_this<Replica::Impl> {
  struct OpenWrite {
    int64_t since_us = 0;
    bool settled = false;     // its batch is written; it waits for the sync
    bool by_content = false;  // the store does not know it by a number
    bool wrote = false;       // a record
    std::vector<UnsyncedDocuments::Slot> documents;
  };

  Impl(ReplicaOptions options, outbox::Outbox& outbox, outbox::CommitThread& commit,
       const Clock& clock, const Origin& self, Hlc start);

  // ---- replica.cc
  [[nodiscard]] Status load();
  [[nodiscard]] Status renew_bound();
  void wake();
  // Under mutex: moves `published` and our own entry of `durable`; true if it moved.
  bool raise_published();
  [[nodiscard]] VersionVector known() const;  // under mutex: durable, and what was promised
  void alarm(const std::string& about, const std::string& text);  // without mutex
  void calm(const std::string& about);                            // under mutex
  [[nodiscard]] VersionVector issued() const;                     // under mutex: of reports
  [[nodiscard]] VersionVector delivery_vector() const;  // under mutex: what deps are checked with
  // Under mutex: a record was written.
  void mark_log(const Origin& origin, Hlc stamp, size_t bytes) {
    log_marks[origin].add(stamp, bytes);
  }

  // ---- replica_write.cc
  // The batch that makes `changes` the record `dot`: entry, rows, retries. What is too much for one
  // record goes on in others, each under a stamp of its own and after the one before it.
  struct Settled {
    outbox::Batch batch;
    std::vector<std::pair<Dot, size_t>> records;  // and bytes, 0: not needed
    int64_t rows = 0;                             // more rows than before
    std::vector<std::string> detached;            // row keys of documents set aside that changed
  };
  [[nodiscard]] Result<Settled> make_batch(const Dot& dot, const VersionVector& deps, Hlc closed,
                                           std::vector<DocumentChange> changes,
                                           const std::vector<RetryEntry>& retries);
  // A record of this site's own that no app wrote, with all that `batch` holds; under the locks of
  // its documents. It is made of next_dot().
  [[nodiscard]] Status commit_own(const Record& record, outbox::Batch batch);
  // A stamp for what is under locks already; it holds back publication until it is settled.
  [[nodiscard]] Result<Dot> next_dot();
  void give_up(const Dot& dot);  // no record carries it
  void put_retries(outbox::Batch& batch, const std::vector<RetryEntry>& retries) const;
  void put_lost(outbox::Batch& batch, const std::vector<LedgerEntry>& lost);
  void settle_durable(const std::vector<Hlc>& stamps, uint64_t append, const Status& synced);
  void leave_to_sync(std::vector<Hlc> stamps, uint64_t append);
  // For recovery: a write of an earlier run, under its own stamp. Not yet synced.
  [[nodiscard]] Status settle_earlier(const Dot& dot, const VersionVector& deps,
                                      std::vector<DocumentChange> changes,
                                      const std::vector<RetryEntry>& retries);

  // ---- replica_members.cc
  [[nodiscard]] Status load_members();
  [[nodiscard]] bool is_member(const SiteId& site) const;  // under mutex, like the rest of these
  [[nodiscard]] size_t epochs_max() const;
  [[nodiscard]] std::string wrong_with_report(const Report& report) const;
  [[nodiscard]] std::string wrong_with_origin(const Origin& origin) const;
  [[nodiscard]] RecordRules record_rules() const;
  void put_member(outbox::Batch& batch, const MemberId& member);

  // ---- replica_ledger.cc
  [[nodiscard]] Status load_ledger();
  void put_ledger(outbox::Batch& batch, const std::string& key, const LedgerEntry& entry);
  // Drops the oldest closed entries while there are more bytes than may be; a bounded step.
  [[nodiscard]] Status trim_ledger();
  [[nodiscard]] Result<bool> is_open(const std::string& key, const LedgerEntry& entry) const;
  [[nodiscard]] Result<bool> trim_piece(uint64_t& bytes, uint64_t& read);
  void say_trimmed(uint64_t bytes, bool only_open);

  // ---- replica_quarantine.cc
  [[nodiscard]] Result<std::shared_ptr<const Record>> quarantined_record(
      const std::string& ledger_key) const;
  // Why a record set aside may not be applied any more, whatever it is; empty: it may. Without
  // mutex.
  [[nodiscard]] Result<std::string> too_late_for(const Dot& dot) const;

  // ---- replica_retire.cc
  // Writes the record that retires our old epochs, when every member has all of them.
  [[nodiscard]] Status retire_epochs();
  [[nodiscard]] bool may_retire() const;                     // under mutex
  void retired(const VersionVector& epochs, Hlc watermark);  // under mutex: that is durable now
  [[nodiscard]] Status purge_retired();

  // ---- replica_exchange.cc
  [[nodiscard]] Result<bool> offer(Segment segment, const Origin& from);
  [[nodiscard]] bool is_retired(const Segment& segment) const;  // under mutex, like the next
  [[nodiscard]] Result<Inbox::Taken> take_in(Segment segment, const Origin& from);
  [[nodiscard]] PeerProgress progress_of(const SiteId& site, const VersionVector& acked) const;
  void list_peers(ReplicaStatus& status) const;  // under mutex
  void fill_ages(ReplicaStatus& status) const;

  // ---- replica_collect.cc
  [[nodiscard]] Status truncate(const VersionVector& acknowledged);
  // kRefused: of an origin not all that comes after its start is in the log any more.
  [[nodiscard]] Status still_holds(const std::vector<Dot>& starts);
  [[nodiscard]] Status collect_rows(size_t documents_max);
  [[nodiscard]] Status expire_retries(size_t count);
  // What every member says it has applied; nothing until all have said so in this run.
  [[nodiscard]] VersionVector acknowledged() const;  // under mutex

  const ReplicaOptions options;
  outbox::Outbox& outbox;
  outbox::CommitThread& commit;
  const Clock& clock;
  const Origin self;
  std::atomic<LockTable*> locks{nullptr};

  mutable std::mutex mutex;
  // Under mutex, down to the next comment.
  HybridClock hlc;
  VersionVector visible;  // never our present origin
  VersionVector durable;
  std::map<Hlc, OpenWrite> open;  // stamps of ours that hold back publication
  Hlc published = 0;              // every stamp of ours up to here is settled, and that is on disk
  std::set<Hlc> unpublished;      // records of ours that are on disk, but not published yet
  Promises promises;
  struct Retiring {
    Hlc stamp = 0;  // of our record; 0: none is under way
    VersionVector epochs;
    Hlc watermark = 0;
  };
  Retiring retiring;
  const Hlc start;        // every stamp of this run lies beyond
  bool purge_due = true;  // there may be remains of retired epochs
  UnsyncedDocuments unsynced;
  uint64_t appends = 0;  // of settled writes
  Stability stability;
  Inbox inbox;
  bool accepts_writes = false;
  VersionVector floor;
  std::map<std::string, Aside> detached;           // by row key
  std::set<std::string> retry_detached;            // row keys to be tried again
  std::vector<std::string> held_by_locks;          // for status; written by the applier
  std::string apply_trouble;                       // the same; empty: none
  std::map<SiteId, std::string> site_names;        // of members
  std::set<SiteId> introduced;                     // those that said so themselves in this run
  std::map<std::string, std::string> quarantined;  // record's name -> ledger key
  std::set<std::string> quarantine_retries;        // names
  std::map<SiteId, int64_t> heard_ms;
  std::map<Origin, LogMarks> log_marks;  // since the process started
  uint64_t entries_at_open = 0;
  uint64_t bytes_at_open = 0;
  VersionVector vector_at_open;
  uint64_t applied_records = 0;
  uint64_t duplicate_records = 0;
  std::map<std::string, uint64_t> conflicts;
  std::map<std::string, std::string> alarms;  // by what each is about

  std::recursive_mutex wakers_mutex;          // a waker may call the replica, and wake again
  std::vector<std::function<void()>> wakers;  // under wakers_mutex
  std::function<void()> arrived;              // under wakers_mutex: the inbox has something new

  std::atomic<int64_t> rows{0};
  std::atomic<uint64_t> ledger_dropped{0};
  std::atomic<int64_t> ledger_oldest_ms{0};
  std::atomic<uint64_t> collected_rows{0};

  std::string ledger_closed_from;  // under mutex: all entries before this key are open
  std::string ledger_first;        // under mutex: there is no entry before this key

  // Of collect_step alone (one caller at a time, guarded by collect_mutex).
  std::mutex collect_mutex;
  std::string row_cursor;
  bool pass_under_way = false;
  VersionVector dropped_through;           // the stable vector for which cohorts were dropped last
  VersionVector pass_stable, pass_closed;  // when the present or last pass over the rows began
  uint64_t ledger_unsaid = 0;              // dropped since a line in the log said so
  Hlc ledger_dropped_through = 0;          // the newest stamp of those ever dropped in this run
  int64_t ledger_said_us = 0;              // monotonic
  std::string retry_cursor;
  int64_t retries_checked_ms = 0;
};

}  // namespace outrigger
