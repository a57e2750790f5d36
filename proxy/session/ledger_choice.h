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
  net::Task<Answer> dismiss(const ChoicePlan& plan, const LedgerEntry& entry);
  // The filter found nothing.
  net::Task<Answer> look(ChoiceVerb verb, const LedgerEntry& entry);
  // Of a write that is done, or needed none: notes it, and the answer.
  net::Task<Answer> conclude(ChoiceVerb verb, const LedgerEntry& entry, std::string reply,
                             bool wrote, std::optional<Replaced> instead);

  ProxyContext& context_;
  Backend& backend_;
  bool& writing_;
};

}  // namespace outrigger
