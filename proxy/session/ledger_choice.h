// Carries out `{choose: NAME}`, `{revert: NAME}` and `{dismiss: NAME}` (own_choice.h): finds the
// entry, has the capture write what it comes to, notes in the ledger what was done, answers.
//
// It runs on the app's own connection: mongod says whether its user may read `outrigger` (who may
// not is told nothing of entries) and write the collection. The write is the app's like any other,
// locked, prepared and recorded; the note follows it, so that a crash in between leaves a value
// that stands and an entry that does not say so. Choosing again says it.
#pragma once

#include <string>

#include "proxy/capture/reply.h"
#include "proxy/mongo/backend.h"
#include "proxy/session/own_choice.h"
#include "proxy/writes/context.h"

namespace outrigger {

class LedgerChoice {
 public:
  // All outlive it. `writing` is set while the store's answer must be awaited.
  LedgerChoice(ProxyContext& context, Backend& backend, bool& writing)
      : context_(context), backend_(backend), writing_(writing) {}

  // `parsed` outlives the task; the verb is that of its name.
  net::Task<Answer> run(const wire::OpMsg& parsed, ChoiceVerb verb, bool is_strangers);

 private:
  // mongod's refusal of a look at the ledger, if it refuses.
  net::Task<std::optional<Answer>> ask_to_read();
  net::Task<Answer> write(const wire::OpMsg& parsed, ChoiceVerb verb, const LedgerEntry& entry,
                          bool is_strangers);
  // One that needs a place (own_choice.h).
  net::Task<Answer> write_in_element(const wire::OpMsg& parsed, ChoiceVerb verb,
                                     const LedgerEntry& entry, bool is_strangers);
  // Once. Nothing: the filter found nothing.
  net::Task<std::optional<Answer>> attempt(const wire::OpMsg& parsed, ChoiceVerb verb,
                                           const LedgerEntry& entry, const ElementPlace* place,
                                           bool is_strangers);
  // The document, as much of it as tells what stands at the entry's path.
  struct Looked {
    std::optional<Answer> refusal;
    std::string reply;
    [[nodiscard]] std::optional<bson::Document> found() const;  // borrows from the reply
  };
  net::Task<Looked> fetch(const LedgerEntry& entry);
  // Where the element stands in it; both while nobody writes to it.
  struct Placed {
    Looked looked;
    Result<ElementNow> now;
  };
  net::Task<Placed> find_place(const LedgerEntry& entry, const Path& array);
  net::Task<Answer> dismiss(const ChoicePlan& plan, const LedgerEntry& entry);
  // Nothing was written: was nothing to be?
  net::Task<Answer> look(ChoiceVerb verb, const LedgerEntry& entry);
  net::Task<Answer> tell(ChoiceVerb verb, const LedgerEntry& entry, const Looked& looked,
                         const ElementPlace* place);
  // Of a write that is done, or needed none: notes it, and the answer.
  net::Task<Answer> conclude(ChoiceVerb verb, const LedgerEntry& entry, std::string reply,
                             bool wrote, std::optional<Replaced> instead);

  ProxyContext& context_;
  Backend& backend_;
  bool& writing_;
};

}  // namespace outrigger
