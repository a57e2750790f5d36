// `{choose: NAME}`, `{revert: NAME}` and `{dismiss: NAME}` in the database `outrigger`: which write
// brings a value back that lost, which undoes that, and that neither is wanted.
//
// The problem: a person who sees a losing value wants it to stand after all, and a store that is
// written to around everybody would be a second source of truth. The idea: the choice becomes the
// one command an app would have sent, with what must hold for it in its filter, so that it is
// decided where every other write is. Choosing writes the loser, whatever stands there now. Undoing
// writes what had won, and only where the chosen value still stands.
//
// What lost in an element of an array is written where that element stands by now. That is found
// out beforehand (outbox/lost_element.h), so the filter asks for the array as it was then: whoever
// finds another one begins again.
//
// Not every loser can be written back: increments have no place where no number is, and what the
// store refuses it will refuse again. Then there is a sentence that says the way out.
//
// Pure.
#pragma once

#include <optional>
#include <string>

#include "proxy/mongo/commands.h"
#include "proxy/mongo/wire/op_msg.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/lost_element.h"

namespace outrigger {

enum class ChoiceVerb : uint8_t {
  kChoose,
  kRevert,
  kDismiss,  // what stands is right: only the entry is marked
};

// Of an entry whose path leads into an element: where that stands, in which array.
struct ElementPlace {
  size_t position = 0;
  bson::OwnedValue array;
};

// Which of them the command is; nothing: none.
[[nodiscard]] std::optional<ChoiceVerb> choice_verb(const wire::OpMsg& parsed);

struct ChoicePlan {
  std::string refusal;   // why nothing is written, and the way out; empty: something is
  bool is_moot = false;  // nothing is, as the document shows (why_not_written)
  CommandKind kind = CommandKind::kFindAndModify;  // or kInsert, kDelete
  std::string command;                             // BSON, without a write concern
};
// Of kDismiss: an update that finds nothing, by which mongod says whether the app may write there.
// `place`: of what lost in an element; null: what stands against it wherever that is.
[[nodiscard]] ChoicePlan plan_choice(ChoiceVerb verb, const LedgerEntry& entry,
                                     const ElementPlace* place = nullptr);
// Must its place be found first?
[[nodiscard]] bool needs_place(ChoiceVerb verb, const LedgerEntry& entry);

// What mongod said of that command.
struct ChoiceReply {
  int code = 0;  // of the error that it is, with mongod's words
  std::string words;
  bool is_written = false;          // false and no error: the filter found nothing
  std::optional<Replaced> instead;  // of a choice: what stood there
};
[[nodiscard]] ChoiceReply read_choice(const ChoicePlan& plan, const LedgerEntry& entry,
                                      const bson::Document& reply,
                                      const ElementPlace* place = nullptr);

// Where the filter found nothing: the question what is there.
[[nodiscard]] std::string look_command(const LedgerEntry& entry);
// What the document that was found, if one was, means: empty: it is as it was to be, already;
// otherwise why nothing was written.
[[nodiscard]] std::string why_not_written(ChoiceVerb verb, const LedgerEntry& entry,
                                          const std::optional<bson::Document>& found,
                                          const ElementPlace* place = nullptr);

// What is to be noted of a choice; nothing: what is noted already is better.
[[nodiscard]] std::optional<Replaced> worth_noting(const LedgerEntry& entry,
                                                   const std::optional<Replaced>& instead);

}  // namespace outrigger
