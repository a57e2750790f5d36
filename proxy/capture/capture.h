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
// A run whose answer never comes is in doubt: its locks stay held until it is known what happened,
// and the client's connection is closed, which a driver takes for the network error it is.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/backend.h"
#include "proxy/capture/reply.h"
#include "proxy/capture/run.h"
#include "proxy/context.h"

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

  // `message` is the whole OP_MSG and `parsed` its view; both live until the task is done.
  net::Task<Answer> run(std::string_view message, const wire::OpMsg& parsed, CommandKind kind);

 private:
  // kNeedsAll: not without the collection to itself.
  enum class End { kDone, kMatchedNothing, kTryAgain, kNeedsAll, kBroken };
  // What a filter found, and when (LockTable::now) it was asked.
  struct Found {
    std::vector<bson::OwnedValue> ids;
    uint64_t asked = 0;
  };
  struct Executed {
    std::string message;  // the store's reply
    Images before;
    Images after;
    bool broken = false;
  };

  // capture.cc: the command as a whole
  net::Task<std::optional<Answer>> refuse_by_facts();
  // judge.cc: what mongod says of it
  net::Task<Answer> refuse_as_the_store(const wire::OpMsg& parsed, CommandKind kind,
                                        wire::WireError ours);
  net::Task<std::optional<Answer>> answer_retry(ReplyBuilder& reply);
  net::Task<std::optional<std::string>> explain_refusal(const Statement& statement);
  net::Task<Answer> run_statements();
  // The retry entry of a statement that has a record already.
  [[nodiscard]] std::optional<std::string> remembered(const Statement& statement) const;
  [[nodiscard]] std::optional<RunItem> direct_item(const Statement& statement);
  [[nodiscard]] Run new_run() const;
  [[nodiscard]] Run gather(size_t first);
  net::Task<Answer> finish(ReplyBuilder& reply);

  // execute.cc: one run
  net::Task<End> execute(Run& run, ReplyBuilder& reply);
  net::Task<End> execute_locked(Run& run, ReplyBuilder& reply);
  [[nodiscard]] RunSession session_for(const Run& run);
  [[nodiscard]] Unsynced unsynced(const Run& run) const;
  void look_at_row(RunItem& item) const;
  net::Task<Result<LocalWrite>> begin(Run& run, const RunSession& session,
                                      JournalWaits::Write& journal);
  net::Task<Executed> exchange(Run& run, const RunSession& session, JournalWaits::Write& journal);
  net::Task<Result<Images>> read_images(const Run& run, std::vector<const RunItem*> items);
  net::Task<bool> read_upserted(const Run& run, const RunReply& reply, Executed& executed);
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
  net::Task<End> execute_chunk(const Statement& statement, Found found, ReplyBuilder& reply);
  [[nodiscard]] Run gather_found(const Statement& statement, std::vector<bson::OwnedValue>& ids,
                                 size_t& next);

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
  std::string store_reply_;       // of the last run
  bool reply_is_whole_ = false;   // store_reply_ answers the whole command as it is
  std::shared_ptr<net::OneShot<Status>> durable_;  // of the last prepare
  std::optional<Error> find_error_;  // mongod's refusal of a resolving find, as it said
  int find_error_code_ = 0;
};

}  // namespace outrigger
