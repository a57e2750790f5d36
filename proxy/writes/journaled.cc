// When a run's write is in mongod's journal: only then is it settled, published and answered.
#include "proxy/writes/capture.h"

namespace outrigger {

// What the answer means for those that share one wait for the journal. Gives what is still to be
// waited for, if anything.
JournalWaits::Shot Capture::share_answer(const Run& run, const std::string& message,
                                         JournalWaits::Write& journal) const {
  if (run.concern == RunConcern::kOwn) return nullptr;
  const auto parsed = wire::parse_op_msg_trusted(message);
  if (!parsed) return nullptr;
  const auto ok = parsed->body.find("ok");
  if (!ok || !ok->truthy()) return nullptr;  // refused as a whole: there is nothing to wait for
  if (run.concern == RunConcern::kFollower) return journal.answered(optime_of(parsed->body));
  if (met_its_concern(parsed->body)) {
    journal.led(optime_of(parsed->body), backend_.opened_us());
  }
  return nullptr;
}

net::Task<bool> Capture::is_journaled(JournalWaits::Shot shot) {
  const JournalWaits::Outcome outcome = co_await shot->wait();
  if (outcome != JournalWaits::Outcome::kIfStillOurs) {
    co_return outcome == JournalWaits::Outcome::kJournaled;
  }
  const bool alive = co_await still_answers();
  co_return alive;
}

// The store executed a command and could not say that its write concern was met: that its writes
// are journaled must be found out in another way.
net::Task<bool> Capture::wait_journaled() {
  std::function<Status(Store&)> job = [](Store& store) { return store.wait_journaled(); };
  const Status journaled = co_await context_.store.ask(std::move(job));
  if (!journaled) co_return false;
  const bool alive = co_await still_answers();
  co_return alive;
}

// Whether the mongod that answered this connection is the one that answers now.
net::Task<bool> Capture::still_answers() {
  const Result<std::string> alive = co_await backend_.ping();
  co_return alive.has_value();
}

}  // namespace outrigger
