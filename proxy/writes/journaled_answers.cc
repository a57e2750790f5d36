#include "proxy/writes/journaled_answers.h"

#include "proxy/capture/reads.h"

namespace outrigger {

JournalWaits::Shot JournaledAnswers::share(RunConcern concern, const bson::Document& answer,
                                           JournalWaits::Write& journal) const {
  if (concern == RunConcern::kOwn) return nullptr;
  if (!is_ok(answer)) return nullptr;  // refused as a whole: there is nothing to wait for
  if (concern == RunConcern::kFollower) return journal.answered(optime_of(answer));
  if (met_its_concern(answer)) journal.led(optime_of(answer), backend_.opened_us());
  return nullptr;
}

net::Task<bool> JournaledAnswers::wait_shared(JournalWaits::Shot shot) {
  const JournalWaits::Outcome outcome = co_await shot->wait();
  if (outcome != JournalWaits::Outcome::kIfStillOurs) {
    co_return outcome == JournalWaits::Outcome::kJournaled;
  }
  const bool alive = co_await still_answers();
  co_return alive;
}

net::Task<bool> JournaledAnswers::wait_alone() {
  std::function<Status(Store&)> job = [](Store& store) { return store.wait_journaled(); };
  const Status journaled = co_await context_.store.ask(std::move(job));
  if (!journaled) co_return false;
  const bool alive = co_await still_answers();
  co_return alive;
}

net::Task<bool> JournaledAnswers::still_answers() {
  const Result<std::string> alive = co_await backend_.ping();
  co_return alive.has_value();
}

}  // namespace outrigger
