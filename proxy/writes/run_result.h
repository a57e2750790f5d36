// What steps of a write hand to the next: the store's answer to a run, what it tells of the
// documents, and what the run adds to the app's answer.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "proxy/capture/reply.h"
#include "proxy/capture/run.h"
#include "proxy/writes/durable_waits.h"

namespace outrigger {

// The store's answer to a run, and the documents it is about as they were read around it.
struct RunAnswer {
  std::string message;
  Images before;
  Images after;
  bool broken = false;  // there is no answer: the run is in doubt
};

// What a run did, as it goes into the outbox.
struct RunEffects {
  std::vector<DocumentChange> changes;
  std::vector<RetryEntry> retries;
};

// How a run, or a statement of several runs, ended.
struct RunResult {
  enum class End : uint8_t {
    kDone,
    kMatchedNothing,     // where a filter had found its document: somebody else was first
    kNeedsAll,           // nothing was done, and will not be without the collection to itself
    kAnotherCollection,  // nothing was done: it is not the collection it was taken for
    kBroken,             // the store answers no more: the app's connection ends
  };

  explicit RunResult(const WriteCommand& command) : reply(command) {}
  RunResult(RunResult&&) = default;
  RunResult& operator=(RunResult&&) = default;

  // What comes after it.
  void absorb(RunResult&& next) {
    end = next.end;
    reply.absorb(std::move(next.reply));
    left = std::max(left, next.left);
    if (next.durable) durable = std::move(next.durable);
  }
  // Another attempt would change nothing.
  [[nodiscard]] bool is_final() const {
    return end == End::kDone || end == End::kBroken || end == End::kAnotherCollection;
  }

  End end = End::kDone;
  ReplyBuilder reply;           // what it adds to the app's answer
  size_t items = 0;             // of a run, from its first; the others are left for another run
  Left left = Left::kNothing;   // for whoever waits for its locks
  bool missed_concern = false;  // the store executed it, and answered before that was met
  // The app is answered once this is on disk; none: there is nothing to wait for.
  DurableWaits::Shot durable;
};

}  // namespace outrigger
