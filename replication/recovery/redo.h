// The outbox is the store's redo log: what a mongod forgot in a crash is put back from it.
//
// The problem: a mongod that is killed forgets what its journal did not hold, up to some 50 ms of
// answered writes, always the last of them; peers have those by then, and apps were told. Waiting
// for the journal at each write would cost more than the write. But the outbox holds every
// acknowledged write durably. So writes are answered as soon as that is so, and when another run of
// mongod answers than the one that is served, every document with records beyond what the journal
// is known to hold (SiteVectors) gets the values its row and those records say
// (redo_document.h). Until then nobody else may use the store (store/served_process.h).
//
// Documents of writes whose end nobody knows yet are left to whoever settles those: what the oplog
// or the document says of such a write is asked before anything is put over it; what only a look at
// the present values can settle, after that (judge_prepare).
//
// Memory: of that window the names of documents and records, and as many of the records as fit
// (redo_records.h); what some documents need at once is bounded in bytes, unless it is one
// document. Only documents that stand in each other's way are in memory together, whole.
//
// Writing is absolute, so a store that dies meanwhile is put back again, from the start. A value
// that is overwritten although no record explains it goes to the ledger first (redo_found.h).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/apply/applier_options.h"
#include "replication/apply/apply_committer.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/outbox.h"
#include "replication/record/record.h"
#include "replication/recovery/evictions.h"
#include "replication/recovery/redo_document.h"
#include "replication/recovery/redo_records.h"
#include "replication/site/site_parts.h"
#include "replication/store/served_process.h"
#include "replication/store/store.h"

namespace outrigger {

// One thread's at a time: the one recovery works on.
class Redo {
 public:
  using RowKeys = std::function<bool(const std::string& row_key)>;
  using IsStopping = std::function<bool()>;

  // Everything is borrowed and outlives this.
  Redo(SiteParts& site, outbox::Outbox& outbox, outbox::CommitThread& commit, ServedProcess& served,
       ApplierOptions options, IsStopping is_stopping)
      : site_(site),
        outbox_(outbox),
        commit_(commit),
        served_(served),
        options_(std::move(options)),
        is_stopping_(std::move(is_stopping)),
        committer_(site, outbox, commit, options_),
        records_(outbox) {}

  // Asks the store which run of it answers, and notes what of the outbox that run may have
  // forgotten if it is another one. Errors: of the store, of the log.
  [[nodiscard]] Status look(Store& store);
  // kUnavailable: another run answers now than at the last look().
  [[nodiscard]] Status still(Store& store) const;
  // The run that answered last is not served yet.
  [[nodiscard]] bool is_due() const { return is_due_; }
  // Some documents, or of these some, are not put back yet.
  [[nodiscard]] bool has_documents() const { return !due_.empty(); }
  [[nodiscard]] bool is_any_due(const std::set<std::string>& row_keys) const;
  struct Extent {
    bool all = false;       // whatever waits for another document is put back with it
    bool may_stop = false;  // when the sidecar is asked to; a write in doubt cannot
  };
  // Puts back those of the documents that are due which `which` takes. Where values of a unique
  // index moved between documents, one may have to wait for another that is due. Errors: as look();
  // kClosed: it is to stop; some may be done by then.
  [[nodiscard]] Status put_back(Store& store, const RowKeys& which, Extent extent);
  // All is done: this run is served from here on, and it is on disk that it is.
  [[nodiscard]] Status finish();
  // Documents put back since this process began.
  [[nodiscard]] uint64_t documents_put_back() const { return put_back_; }

 private:
  struct Window {
    std::string ns;
    bson::OwnedValue id;
    std::vector<RedoRecords::Place> places;
  };

  [[nodiscard]] Status learn_served(const std::string& process);
  [[nodiscard]] Status note_records();
  [[nodiscard]] Status note_prepared();
  Window& note(const std::string& ns, const bson::OwnedValue& id);
  // What nobody's record explains goes into the batch, for the ledger; and is said in the log.
  [[nodiscard]] Status note_lost(std::span<const Forgotten> forgotten, const AfterCrash& back,
                                 const std::optional<std::string>& stored, outbox::Batch& batch);
  [[nodiscard]] Status note_once(const LedgerEntry& entry, outbox::Batch& batch);
  // What is to be written of one document.
  struct Wanted {
    std::string key;
    StoreWrite write;
    std::optional<std::string> document;  // as it is to be, whole
    bool is_set_aside = false;
  };
  [[nodiscard]] Result<std::optional<Wanted>> wanted(const std::string& key,
                                                     const std::optional<std::string>& stored,
                                                     outbox::Batch& lost);
  // What that overwrites and nobody's record explains is in the ledger then, on disk.
  [[nodiscard]] Result<std::vector<Wanted>> wanted(Store& store, std::span<const std::string> keys);
  // Gives those that met a unique value of another document.
  [[nodiscard]] Result<std::vector<std::string>> put_some(Store& store,
                                                          std::span<const std::string> keys);
  [[nodiscard]] Result<std::vector<std::string>> put_all(Store& store,
                                                         std::vector<std::string> keys,
                                                         bool may_stop);
  [[nodiscard]] Status write_whole(Store& store, const std::vector<std::string>& keys);
  [[nodiscard]] Status finish_interrupted(Store& store);

  SiteParts& site_;
  outbox::Outbox& outbox_;
  outbox::CommitThread& commit_;
  ServedProcess& served_;
  const ApplierOptions options_;
  const IsStopping is_stopping_;
  ApplyCommitter committer_;
  std::string process_;  // that answered last
  bool is_due_ = false;
  bool may_be_interrupted_ = true;           // in the middle of write_whole()
  std::map<std::string, Window> documents_;  // that it may have forgotten, by row key
  std::set<std::string> due_;                // of them, those not put back
  std::set<Dot> noted_;                      // records in documents_
  RedoRecords records_;
  EvictedDocuments evicted_;
  std::atomic<uint64_t> put_back_{0};
};

}  // namespace outrigger
