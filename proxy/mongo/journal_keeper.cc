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
  if (Status journaled = store.wait_journaled(); !journaled) return journaled;
  return is_served();
}

JournalKeeper::JournalKeeper(net::Loop& loop, Site site, Ask ask)
    : loop_(loop), site_(std::move(site)), ask_(std::move(ask)), timer_(loop) {}

void JournalKeeper::touch() {
  if (asking_ || std::exchange(is_due_, true)) return;
  timer_.start(kEveryMs, [this] {
    is_due_ = false;
    ask();
  });
}

void JournalKeeper::ask() {
  VersionVector answered = site_.answered();
  if (site_.journaled().includes(answered)) return;
  asking_ = std::make_shared<Asking>(Asking{this, std::move(answered)});
  ask_([asking = std::weak_ptr(asking_), &loop = loop_](const Status& status) {
    loop.post([asking, status] {
      if (const auto still = asking.lock()) still->owner->heard(status);
    });
  });
}

// After an error the next write asks anew.
void JournalKeeper::heard(const Status& journaled) {
  const std::shared_ptr<Asking> asked = std::exchange(asking_, nullptr);
  if (!journaled) return;
  site_.tell(asked->answered);
  if (!asked->answered.includes(site_.answered())) touch();
}

}  // namespace outrigger
