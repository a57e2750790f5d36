#include "proxy/mongo/journal_keeper.h"

#include <utility>

namespace outrigger {

Status wait_journaled(Store& store, const ServedProcess& served) {
  const auto is_served = [&]() -> Status {
    if (Status alive = store.ping(); !alive) return alive;
    if (served.admits(store.process_id())) return {};
    return fail(ErrorCode::kUnavailable, "wait for the journal", "", "the store was started anew");
  };
  if (Status before = is_served(); !before) return before;
  if (Status journaled = store.wait_settled(); !journaled) return journaled;
  return is_served();
}

JournalKeeper::JournalKeeper(net::Loop& loop, Site site, Ask ask)
    : loop_(loop),
      site_(std::move(site)),
      ask_(std::move(ask)),
      timer_(loop),
      self_(std::make_shared<Self>(Self{this})) {}

void JournalKeeper::touch() {
  if (is_busy_ || is_busy_.exchange(true)) return;
  loop_.post([self = std::weak_ptr(self_)] {
    if (const auto still = self.lock()) still->keeper->wait();
  });
}

void JournalKeeper::wait() {
  timer_.start(kEveryMs, [this] { ask(); });
}

void JournalKeeper::ask() {
  VersionVector answered = site_.answered();
  if (site_.journaled().includes(answered)) return rest(answered);
  asking_ = std::make_shared<Asking>(Asking{this, std::move(answered)});
  ask_([asking = std::weak_ptr(asking_), &loop = loop_](const Status& status) {
    loop.post([asking, status] {
      if (const auto still = asking.lock()) still->owner->heard(status);
    });
  });
}

// Who touched it meanwhile was not heard.
void JournalKeeper::rest(const VersionVector& seen) {
  is_busy_ = false;
  if (!seen.includes(site_.answered())) touch();
}

// After an error the next write asks anew.
void JournalKeeper::heard(const Status& journaled) {
  const std::shared_ptr<Asking> asked = std::exchange(asking_, nullptr);
  if (!journaled) {
    is_busy_ = false;
    return;
  }
  site_.tell(asked->answered);
  rest(asked->answered);
}

}  // namespace outrigger
