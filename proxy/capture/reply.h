// Putting the answers of several runs together into the one answer the app expects: sums of n and
// nModified, every index counted in the app's own statements, mongod's order of fields. Also what
// is remembered of a run for a retry. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/capture/run.h"

namespace outrigger {

// What the app's connection gets.
struct Answer {
  enum class Kind : uint8_t {
    kMessage,  // a whole reply message of the store, to be passed as it is
    kBody,     // a reply body
    kPass,     // not ours to capture: send the command on untouched
    kClose,    // close the app's connection
  };
  Kind kind = Kind::kBody;
  std::string bytes;
  bool is_stores = false;  // what is refused in it, the store has refused itself

  static Answer message(std::string bytes) { return {Kind::kMessage, std::move(bytes), true}; }
  static Answer body(std::string bytes) { return {Kind::kBody, std::move(bytes), false}; }
  // The same, of the store's words.
  static Answer stores_body(std::string bytes) { return {Kind::kBody, std::move(bytes), true}; }
  static Answer pass() { return {Kind::kPass, {}, false}; }
  static Answer close() { return {Kind::kClose, {}, false}; }
};

class ReplyBuilder {
 public:
  // The command outlives the builder.
  explicit ReplyBuilder(const WriteCommand& command) : command_(&command) {}

  // Adds what the store said of a run; the bytes it borrows are copied where needed.
  void add(const Run& run, const RunReply& reply);
  // The same of the store's message, which `reply` borrows from: where it answers the command as a
  // whole it is the answer, as it is.
  void add(const Run& run, const RunReply& reply, std::string message);
  // This message of the store is the answer.
  void answer_as(std::string message) { whole_ = std::move(message); }
  // Adds a remembered result (see remember). False: that does not answer the statement, and only
  // the store knows what does.
  [[nodiscard]] bool add_remembered(const bson::Document& result, size_t statement);
  // Takes over what another builder of the same command gathered.
  void absorb(ReplyBuilder&& other);
  // Of an answer that did nothing: its position and times, and how its concern went.
  void add_tail(const RunReply& reply);
  // What the answer lists as executed before; otherwise that is every remembered statement.
  void retried_were(const std::vector<int32_t>& stmt_ids);
  // The statement that failed updated many documents: mongod counts none of them then.
  void forget_counts() { n_ = modified_ = 0; }
  // An error of our own at one statement.
  void add_error(size_t statement, int code, std::string_view message);
  // The command failed as a whole: this body is the answer.
  void fail(std::string body) {
    failure_ = std::move(body);
    is_stores_ = false;
  }

  [[nodiscard]] bool failed() const { return failure_.has_value(); }
  [[nodiscard]] bool has_errors() const { return !errors_.empty(); }
  // There are errors, and each says for sure that its statement wrote nothing.
  [[nodiscard]] bool is_refused_surely() const;
  [[nodiscard]] bool is_answered() const { return whole_.has_value(); }
  // The answer; leaves nothing to build on.
  [[nodiscard]] Answer answer();
  // Its body, put together.
  [[nodiscard]] std::string finish();

 private:
  struct Error {
    size_t index;
    std::string bytes;  // without index
  };
  struct Upserted {
    size_t index;
    bson::OwnedValue id;
  };
  void take_concern(const RunReply& reply);
  void add_inserted(const bson::Document& result, size_t statement);

  const WriteCommand* command_;
  int64_t n_ = 0;
  int64_t modified_ = 0;
  std::vector<Error> errors_;
  std::vector<Upserted> upserted_;
  std::vector<int32_t> retried_;
  bool doubted_ = false;   // an error may have come after the write
  bool is_stores_ = true;  // no error is one of our own
  bool retried_known_ = false;
  std::optional<std::string> concern_error_;
  std::optional<bson::OwnedValue> concern_labels_;  // beside it: whether drivers may try again
  std::string tail_;  // body of the last store reply: electionId, opTime, ok, times
  std::optional<std::string> failure_;
  std::optional<std::string> single_;  // findAndModify: the whole reply
  std::optional<std::string> whole_;   // the store's message
};

// `body` with $clusterTime and operationTime as `from`, an answer of the store, has them.
[[nodiscard]] std::string with_times(const std::string& body, const bson::Document& from);

// `reply` with the write concern in a writeConcernError as the app's command, of this body, said
// it.
[[nodiscard]] std::string with_apps_concern(const bson::Document& reply,
                                            const bson::Document& command);

// What to remember of a run under the key of one statement, of the index `first` (those behind it
// get an empty document): {n, nModified, upserted: [id], at: [places of these behind `first`],
// reply: {findAndModify's}}.
[[nodiscard]] std::string remember(const Run& run, const RunReply& reply, size_t first);

// The retry entries of a run under the app's own number. Only of what changed something: the rest
// leaves no trace in mongod either, and the app's retry of it must be tried again.
[[nodiscard]] std::vector<RetryEntry> retry_entries(const Run& run, const RunReply& reply);

}  // namespace outrigger
