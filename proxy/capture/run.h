// A run: statements of one command that go to the store together, under one lock set, one stamp,
// one prepare and one record. Here is what a run holds, the command it becomes, and what the
// store's answer says it did. Pure: who sends it is writes/run_executor.h.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/limits.h"
#include "config/merge_rules.h"
#include "proxy/capture/filter.h"
#include "proxy/capture/shape/update_shape.h"
#include "proxy/capture/statement.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"
#include "replication/site/lock_table.h"

namespace outrigger {

using limits::kRunBytesMax;
using limits::kRunImagesBytesMax;
using limits::kRunStatementsMax;
using limits::kUnaskedImagesMax;

// A command with this field is run only on the collection that has this uuid.
inline constexpr std::string_view kCollectionUuid = "collectionUUID";
inline constexpr uint8_t kUuidSubtype = 4;

// One document one statement is about.
struct RunItem {
  const Statement* statement = nullptr;
  bson::OwnedValue id;
  std::string key;                   // canonical _id
  std::optional<UpdateShape> shape;  // updates
  // Sent instead of the statement's own filter, document and flags where set.
  std::string filter;            // narrowed to the document; empty: the statement's own
  std::string document;          // insert: with its _id in front; empty: the statement's own
  std::string measurement;       // into a time series: as it travels
  bool upsert = false;           // may insert
  bool upsert_changed = false;   // `upsert` differs from what the statement says
  std::optional<bool> there;     // upsert: before the run; nothing: nobody looked
  std::string becomes;           // replacement: the document afterwards; empty: mongod knows it
  std::string was;               // the document before, where only that will tell what was done, or
                                 // a removal is to yield
  bool drops_collation = false;  // the filter is the _id alone, which needs none
  bool collates_simply = false;  // whatever the collection's own collation turns out to be
  bool needs_before = false;
  // Its values from before at these fields of unique indexes, if they can be had: they tell whether
  // it keeps its keys.
  const std::vector<Path>* needs_keys = nullptr;
  bool needs_after = false;
  bool recorded = false;  // mongod ran it for an earlier attempt, and that has a record
  bool opaque =
      false;  // the document repeats names: what was done to it is the document afterwards
  bool set_aside = false;        // the store lacks it, or holds an older one
  bool narrows_further = false;  // the filter says more than the _id: n tells whether it matched
  bool was_found = false;        // by that filter, and nobody has written to it since
};

// What an insert inserts. Borrowed from the item.
[[nodiscard]] bson::Document inserted(const RunItem& item);

// The session the run goes out under.
struct RunSession {
  std::array<uint8_t, 16> lsid{};
  std::optional<int64_t> txn_number;  // nothing: the store knows no retryable writes
  bool own = true;                    // ours; false: the app's own lsid and number
  bool as_it_came = false;            // own, but without a number, under the lsid the app sent
  std::string transaction;            // what makes it part of one (Transaction::naming), if it is
};

// The app's own session and number, where it gave both.
[[nodiscard]] std::optional<RunSession> session_of_app(const WriteCommand& command);

// When mongod is to answer.
enum class RunConcern : uint8_t {
  kAsAsked,    // as the app says
  kJournaled,  // so, and no earlier than it is journaled
};

struct Run {
  const WriteCommand* command = nullptr;
  std::vector<RunItem> items;
  MergeRules rules;  // of the namespace
  // CollectionInfo's; null: not known, or it has changed meanwhile.
  const std::vector<Path>* unique_fields = nullptr;
  RunConcern concern = RunConcern::kAsAsked;
  bool is_of_series = false;  // its documents are measurements
  bool verbatim = false;      // the app's message says exactly this run
  std::string uuid;    // 16 bytes: of the collection it is meant for; empty: of any of that name
  bool probe = false;  // cannot match: sent for what the store says of it, flags as the app's
  std::optional<int64_t> max_time_ms;  // what is left of the app's maxTimeMS

  // Several documents of one statement: mongod stops such a statement at its first error, whatever
  // `ordered` says.
  [[nodiscard]] bool is_of_many() const {
    return !probe && items.size() > 1 && items[0].statement == items[1].statement;
  }
  [[nodiscard]] bool stops_at_error() const { return command->ordered || is_of_many(); }
  // How what it removes gives way to what nobody here has seen yet.
  [[nodiscard]] Removal removal() const {
    if (command->expires) return Removal::kExpiry;
    return rules.updates_win() ? Removal::kUpdateWins : Removal::kPlain;
  }
  // What whoever held its locks leaves behind, unless it is known to have changed nothing.
  [[nodiscard]] Left left() const {
    return items.front().statement->remove ? Left::kRemoved : Left::kWritten;
  }
};

// Where a write can be found again after a crash, by its prepare alone.
enum class FoundAgain : uint8_t {
  kNever,       // a standalone has no oplog
  kJournaled,   // a set of one: what its journal holds
  kByMajority,  // of several: what the journals of a majority hold, as any may be the next primary
};

// When mongod is to answer the command. A set waits for its journal unless the app says that the
// memory of so many members will do: what is journaled is found in the oplog again. What a command
// does not say is up to defaults (setDefaultRWConcern, writeConcernMajorityJournalDefault), which
// may change at any time; so it is said, on a set of one. On one of several nothing is added but
// the journal to a majority that was asked for: there may be none, and defaults are then less.
[[nodiscard]] RunConcern concern_of(const WriteCommand& command, FoundAgain found);
// The same of any command of a set, by its body.
[[nodiscard]] RunConcern concern_of(const bson::Document& body, FoundAgain found);
// Writes the concern that the body says, so that mongod answers when it is to.
void write_concern(bson::Writer& out, const bson::Document& body, RunConcern concern);

// The app's own bytes say it all, the session aside.
[[nodiscard]] bool goes_as_it_came(const Run& run);

// The run as an OP_MSG. `request_id` becomes the message's id.
[[nodiscard]] std::string build_run_message(const Run& run, const RunSession& session,
                                            int32_t request_id);

// The app's message with the collection's uuid in its body: a new start for it, and what of the
// message follows that start. Nothing when the message is not laid out as drivers lay it out.
struct Guarded {
  std::string start;
  std::string_view rest;
};
[[nodiscard]] std::optional<Guarded> guard_message(std::string_view message,
                                                   const wire::OpMsg& parsed,
                                                   std::string_view uuid);

// Would the documents show whether the run happened? So they do when it is sure to match them and
// assigns values, or a whole document: found there, they are what the run wanted; else it did not
// happen. And when a findAndModify removes one: it is gone. Of measurements there are more.
[[nodiscard]] bool shows_what_it_did(const Run& run);

// What the intent of a run looks like before it is sent.
[[nodiscard]] Prepare build_prepare(const Run& run, const RunSession& session);

// What the store said of a run.
struct RunReply {
  bool ok = false;  // false: the command failed as a whole
  int64_t n = 0;
  int64_t modified = 0;
  bson::Document body;  // borrowed from the message
  struct WriteError {
    size_t item = 0;
    bson::Document error;
  };
  std::vector<WriteError> errors;
  struct Upserted {
    size_t item = 0;
    bson::Value id;
  };
  std::vector<Upserted> upserted;
  std::vector<int32_t> retried;  // stmtIds mongod had executed before
  std::optional<bson::Document> concern_error;
};

[[nodiscard]] RunReply read_run_reply(CommandKind kind, const bson::Document& body);

// Documents by canonical _id.
using Images = std::map<std::string, std::string>;

// What the run did. Items the store refused or did not find are left out. `equal_set_keeps`: an
// equal $set still is a write.
[[nodiscard]] std::vector<DocumentChange> changes_of_run(const Run& run, const RunReply& reply,
                                                         const Images& before, const Images& after,
                                                         bool equal_set_keeps);

// Whether the images afterwards are needed although no item asked for them: some of several items
// did not match, and n does not tell which.
[[nodiscard]] bool needs_unplanned_after_images(const Run& run, const RunReply& reply);

// It has one _id, in front, and nothing that mongod fills in: it is stored as it is.
[[nodiscard]] bool is_complete_insert(const bson::Document& document);
// The inserted document as mongod will store it: _id first (made here if it has none; `fresh_id`
// gives 12 bytes), empty top-level timestamps filled.
[[nodiscard]] std::string complete_insert(const bson::Document& document, bson::Bytes fresh_id,
                                          uint32_t now_seconds, uint32_t increment, bool* changed);

// The replacement as mongod will store it. `id`: of the document, byte for byte; nothing: of that
// only its value is known. Empty: mongod alone knows what it will store.
[[nodiscard]] std::string complete_replacement(const bson::Document& replacement,
                                               const std::optional<bson::Value>& id);

}  // namespace outrigger
