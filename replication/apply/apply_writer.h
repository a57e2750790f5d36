// A batch's writes into the store, in the order in which readers may see them, and what became of
// each document.
//
// That a write is refused is not yet a verdict: it may have been too special (the document is not
// as it was read), or what stood in its way was written later in the batch. So the documents it
// happens to are looked at again, each as a whole, once all others are done.
//
// Readers see no document go back: where the batch is written again, they have seen its end.
//
// The store may fail anywhere in between. How far a batch has come is a value that belongs to it,
// and the next call goes on from there.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/store/store.h"

namespace outrigger {

// What the second look at a refused document found.
struct ApplyRefusal {
  std::string ns;
  bson::OwnedValue id;
  std::optional<std::string> document;  // as merged; nothing: it should be gone
  WriteOutcome outcome;
};

// What the store made of a batch, by row key.
struct ApplyOutcomes {
  std::map<std::string, std::string> validator_says;  // of what it would have refused
  std::map<std::string, ApplyRefusal> set_aside;      // what is refused in the end
  // Where a document was to be born that nobody knew of, another one stood: this. Nothing is done
  // about it yet (apply_committer.h).
  std::map<std::string, std::string> strangers;
};

struct ApplyProgress {
  size_t next = 0;         // of the batch's writes
  std::string process_id;  // of the mongod that did those before it, or that was read from
  bool is_stored = false;  // all are done and journaled
  // What one of a document's writes met, by row key: looked at once all others are done.
  std::map<std::string, WriteOutcome> refused;
  ApplyOutcomes outcomes;  // complete once write() has succeeded
  // Another mongod answers than the one that was written to. Before anybody reads from it, all of
  // the batch is there again (recovery/redo.h): written from the first write on, it would go back.
  bool is_put_back = false;
  bool is_cut_short = false;  // more of it may be there than `next` says
  // Some of it may be there although no answer told so, nor what a validator makes of it.
  bool is_unheard = false;

  void begin_again() {
    next = 0;
    is_stored = false;
    is_put_back = true;
    is_unheard = true;
    refused.clear();
    outcomes.set_aside.clear();
    outcomes.strangers.clear();
  }
};

// One thread's: the one that applies.
class ApplyWriter {
 public:
  // The store is borrowed and outlives this.
  explicit ApplyWriter(Store& store) : store_(store) {}

  // Goes on where it stopped. Where another mongod answers now, which may have lost some that were
  // not journaled: whatever of each document, as it is in the end, is not there. Errors: of the
  // store; call it again later.
  [[nodiscard]] Status write(std::span<const StoreWrite> writes, ApplyProgress& progress);

 private:
  [[nodiscard]] Status write_in_order(std::span<const StoreWrite> writes, ApplyProgress& progress);
  [[nodiscard]] Status pass_over_births(std::span<const StoreWrite> writes,
                                        ApplyProgress& progress);
  [[nodiscard]] Status pass_over_evicted(std::vector<StoreWrite>& missing,
                                         const std::map<std::string, size_t>& before_births);
  [[nodiscard]] Result<std::vector<std::optional<std::string>>> read_some(
      std::span<const StoreWrite* const> of);
  [[nodiscard]] Status write_what_is_missing(std::span<const StoreWrite> writes,
                                             ApplyProgress& progress);
  [[nodiscard]] Status note(Applied&& applied, std::span<const StoreWrite> writes,
                            ApplyProgress& progress);
  [[nodiscard]] Status look_again(std::span<const StoreWrite> writes, ApplyProgress& progress);
  [[nodiscard]] Status ask_validators(std::span<const StoreWrite> writes, ApplyProgress& progress);
  [[nodiscard]] Result<std::optional<ApplyRefusal>> try_whole(
      const std::vector<const StoreWrite*>& of, ApplyOutcomes& outcomes);

  Store& store_;
};

}  // namespace outrigger
