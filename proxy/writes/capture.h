// The write path: classify has said "this writes"; here the command is cut into runs, each run is
// resolved to documents, locked, stamped, prepared, sent, recorded and answered.
//
//   resolve   which documents: known from `_id` equality, or found with the app's own filter
//   lock      those documents, the namespace shared
//   prepare   stamp, dependencies and intent in the page cache, before the command's bytes go out
//   send      the command, narrowed where needed, with the reads that tell what it did around it
//   settle    effects to the outbox; only then are the locks released
//   answer    when the store has answered and the prepare is on disk
//
// An error of the store is not always "nothing happened": where it may have come after the write,
// the documents are looked at under their locks, and then the store's own answer is passed on. A
// run whose answer never comes is in doubt: its locks stay held until it is known what happened,
// and the client's connection is closed, which a driver takes for the network error it is.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/capture/reads.h"
#include "proxy/capture/reply.h"
#include "proxy/capture/run.h"
#include "proxy/mongo/backend.h"
#include "proxy/writes/context.h"

namespace outrigger {

class Capture {
 public:
  struct Answer {
    enum class Kind {
      kMessage,  // a whole reply message of the store, to be passed as it is
      kBody,     // a reply body
      kPass,     // not ours to capture: send the command on untouched
      kClose,    // close the client's connection
    };
    Kind kind = Kind::kBody;
    std::string bytes;
  };

  // Both outlive the capture.
  Capture(ProxyContext& context, Backend& backend) : context_(context), backend_(backend) {}

  // `message` is the whole OP_MSG and `parsed` its view; both live until the task is done. Of a
  // stranger's command mongod is asked first: nothing is planned or locked for it before.
  net::Task<Answer> run(std::string_view message, const wire::OpMsg& parsed, CommandKind kind,
                        bool is_strangers);

 private:
  // Others may be first, again and again. After so many attempts the collection is taken for
  // oneself, and then only writers around the sidecar can be.
  static constexpr int kAttemptsMax = 10;
  enum class End {
    kDone,
    kMatchedNothing,
    kTryAgain,
    kNeedsAll,           // not without the collection to itself
    kAnotherCollection,  // nothing was done: it is not the collection it was taken for
    kBroken,
  };
  // What a filter found, and when (LockTable::now) it was asked.
  struct Found {
    std::vector<bson::OwnedValue> ids;
    uint64_t asked = 0;
  };
  struct Executed {
    std::string message;  // the store's reply
    Images before;
    Images after;
    bool saw_before = false;  // `before` is all there was
    bool broken = false;
  };
  // What a run did, as it goes into the outbox.
  struct Outcome {
    std::vector<DocumentChange> changes;
    std::vector<RetryEntry> retries;
  };
  // How a read of ours ended.
  struct Read {
    enum class End {
      kDone,
      kRefused,  // `body` is the store's error
      kVerdict,  // `body` answers the app's command as a whole
      kBroken,
    };
    End end = End::kBroken;
    std::string body;
    [[nodiscard]] bool done() const { return end == End::kDone; }
  };

  // capture.cc: the command as a whole
  net::Task<std::optional<Answer>> refuse_by_facts();
  // judge.cc: what mongod says of it
  net::Task<Answer> refuse_as_the_store(const wire::OpMsg& parsed, CommandKind kind,
                                        wire::WireError ours);
  net::Task<Answer> refuse_harmlessly(wire::WireError ours);
  net::Task<std::optional<Answer>> refused_whole();
  net::Task<std::optional<Answer>> answer_retry(ReplyBuilder& reply);
  net::Task<bool> learn_user(AppSession& session);
  net::Task<std::optional<std::string>> explain_refusal(const Statement& statement);
  // Why mongod would not let the app's user write this; "" when it does not answer.
  net::Task<std::optional<std::string>> refusal_to_write();
  // `whole`: the run of all statements, where one can hold them.
  net::Task<std::optional<Answer>> refuse_in_one_piece(std::optional<Run>& whole);
  net::Task<Answer> run_statements();
  // The retry entry of a statement that has a record already.
  [[nodiscard]] std::optional<std::string> remembered(const Statement& statement) const;
  [[nodiscard]] std::optional<RunItem> direct_item(const Statement& statement);
  void complete(RunItem& item);
  [[nodiscard]] Run new_run() const;
  // Empty: the statement at `first` does not name its document.
  [[nodiscard]] Run gather(size_t first);
  net::Task<Answer> finish(ReplyBuilder& reply);

  // execute.cc: one run
  net::Task<End> execute(Run& run, ReplyBuilder& reply);
  net::Task<End> execute_locked(Run& run, ReplyBuilder& reply);
  [[nodiscard]] bool may_have_been_made(const Run& run) const;
  [[nodiscard]] RunSession session_for(const Run& run);
  [[nodiscard]] Unsynced unsynced(const Run& run) const;
  void look_at_row(RunItem& item) const;
  net::Task<Result<LocalWrite>> begin(Run& run, const RunSession& session,
                                      JournalWaits::Write& journal);
  net::Task<Read> see_before(Run& run, Executed& executed);
  net::Task<Result<std::string>> send_run(Run& run, const RunSession& session, Executed& executed);
  net::Task<void> exchange(Run& run, const RunSession& session, JournalWaits::Write& journal,
                           Executed& executed);

  // images.cc: reads that only the capture needs, and the time they may take
  net::Task<bool> take(LockRequest& locks);
  [[nodiscard]] std::optional<int64_t> time_left_ms() const;  // nothing: as long as it takes
  [[nodiscard]] bool is_out_of_time() const;
  [[nodiscard]] static std::string out_of_time();  // mongod's answer
  net::Task<Read> read(std::string find, Visit visit, bool timed);
  net::Task<Read> refused_read(std::string find, Visit visit, std::string refusal);
  net::Task<Read> fit_images(Run& run);
  net::Task<Read> read_images(std::vector<const RunItem*> items, Taken taken, Images& images);

  // settle.cc: what a run did
  net::Task<bool> read_upserted(const RunReply& reply, Executed& executed);
  net::Task<bool> look(const Run& run, const LocalWrite& write, const std::vector<size_t>& doubtful,
                       Executed& executed, Outcome& outcome);
  net::Task<bool> ask_the_store(const LocalWrite& write, std::vector<size_t> documents,
                                Outcome& outcome);
  net::Task<bool> record(const LocalWrite& write, Outcome outcome);
  net::Task<End> settle(Run& run, const RunSession& session, const LocalWrite& write,
                        Executed& executed, ReplyBuilder& reply);
  net::Task<void> settle_in_doubt(LocalWrite write, RunSession session);
  void note_retried(Run& run, const RunReply& reply) const;

  // journaled.cc: when the store's journal holds what a run did
  [[nodiscard]] JournalWaits::Shot share_answer(const Run& run, const std::string& message,
                                                JournalWaits::Write& journal) const;
  net::Task<bool> is_journaled(JournalWaits::Shot shot);
  net::Task<bool> wait_journaled();
  net::Task<bool> still_answers();

  // resolve.cc: statements that do not name their document
  net::Task<End> execute_resolved(const Statement& statement, ReplyBuilder& reply);
  net::Task<End> execute_one(const Statement& statement, ReplyBuilder& reply);
  net::Task<End> execute_found(const Statement& statement, Found found, ReplyBuilder& reply);
  net::Task<End> execute_alone(const Statement& statement, ReplyBuilder& reply);
  void add_refusal(const Statement& statement, const RunReply& said,
                   const std::optional<std::string>& explained, ReplyBuilder& reply);
  net::Task<End> probe(const Statement& statement, ReplyBuilder& reply);
  net::Task<End> ask_again(const Statement& statement, ReplyBuilder& reply);
  [[nodiscard]] RunItem narrowed_item(const Statement& statement, bson::OwnedValue id);

  // resolve_many.cc: for every document that matches
  net::Task<End> execute_many(const Statement& statement, ReplyBuilder& reply);
  net::Task<End> execute_each(const Statement& statement, const Found& found, ReplyBuilder& reply);
  net::Task<End> execute_chunk(const Statement& statement, Found found, ReplyBuilder& reply);
  net::Task<End> execute_found_ids(const Statement& statement, std::vector<bson::OwnedValue>& ids,
                                   ReplyBuilder& reply, Left& left);
  [[nodiscard]] Run gather_found(const Statement& statement, std::vector<bson::OwnedValue>& ids,
                                 size_t first);

  // resolve_upsert.cc: when none matches
  net::Task<End> insert_by_upsert(const Statement& statement, uint64_t asked, ReplyBuilder& reply);
  [[nodiscard]] RunItem inserting_item(const Statement& statement);
  [[nodiscard]] Run upsert_as_it_is(const Statement& statement);
  [[nodiscard]] std::string fresh_object_id();

  // resolve_find.cc: which match; an error kRefused is the store's refusal of the filter
  net::Task<Result<Found>> find(const Statement& statement, size_t limit);
  net::Task<Result<std::vector<bson::OwnedValue>>> find_ids(
      const Statement& statement, size_t limit, const std::vector<bson::OwnedValue>* among);
  net::Task<Result<std::vector<bson::OwnedValue>>> those_that_stand(const Statement& statement,
                                                                    Found found);
  net::Task<Result<bool>> still_chosen(const Statement& statement, const bson::OwnedValue& id);
  [[nodiscard]] bool was_touched(const bson::OwnedValue& id, uint64_t asked) const;
  [[nodiscard]] bool compares_simply(const Statement& statement) const;

  ProxyContext& context_;
  Backend& backend_;
  const WriteCommand* command_ = nullptr;  // under way
  const wire::OpMsg* parsed_ = nullptr;
  std::string_view original_;     // the app's message, for runs sent verbatim
  bool simple_collation_ = true;  // of the collection at hand
  uint64_t facts_forgotten_ = 0;  // Facts::forgotten, before they were looked at
  std::string uuid_;              // its own, where mongod can be asked to write to no other
  bool session_is_own_ = true;    // of the user who is logged in, for all that we know
  std::string store_reply_;       // of the last run
  bool reply_is_whole_ = false;   // store_reply_ answers the whole command as it is
  std::shared_ptr<net::OneShot<Status>> durable_;  // of the last prepare
  std::optional<int64_t> deadline_us_;             // of the app's maxTimeMS, by the monotonic clock
  std::optional<std::string> verdict_;  // answers the command as a whole: a resolving find found it
  std::optional<Error> find_error_;     // mongod's refusal of a resolving find, as it said
  int find_error_code_ = 0;
};

}  // namespace outrigger
