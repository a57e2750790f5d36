#include "integration/world/nemesis.h"

#include <fmt/format.h>

namespace outrigger::world {
namespace {

constexpr int64_t kPauseMsMax = 60'000;
// A clock further ahead than what peers take (60 s) holds its site's records back for so long.
// Two sites can be twice this apart.
constexpr int64_t kClockMsMax = 25'000;
constexpr int64_t kWritingMsMax = 20'000;
constexpr int64_t kLookMs = 10;

}  // namespace

int64_t Nemesis::some_ms() {
  const int64_t most = parts_.chance(20) ? 240'000 : parts_.chance(50) ? 15'000 : 800;
  return parts_.draw(1, most);
}

std::pair<std::string, std::string> Nemesis::any_line() {
  const size_t from = static_cast<size_t>(parts_.draw(0, static_cast<int64_t>(sites_.size()) - 1));
  const auto step = parts_.draw(1, static_cast<int64_t>(sites_.size()) - 1);
  const size_t to = (from + static_cast<size_t>(step)) % sites_.size();
  return {sites_[from]->name(), sites_[to]->name()};
}

net::Task<void> Nemesis::run() {
  while (!is_over_) {
    co_await parts_.sleep_ms(parts_.draw(1, kPauseMsMax));
    if (!is_over_) strike();
  }
}

void Nemesis::strike() {
  const int64_t which = parts_.draw(1, 100);
  if (which <= 20) {
    cut_line();
  } else if (which <= 35) {
    slow_line();
  } else if (which <= 50) {
    reset_line();
  } else if (which <= 65) {
    kill_sidecar();
  } else if (which <= 78) {
    kill_mongod();
  } else if (which <= 85) {
    kill_both();
  } else if (which <= 93) {
    cut_power();
  } else if (which <= 96) {
    tasks_.spawn(fail_disk(any_site()));
  } else {
    change_clock();
  }
}

void Nemesis::cut_line() {
  const auto [from, to] = any_line();
  const int64_t ms = some_ms();
  const bool both = parts_.chance(60);
  parts_.story.tell("network",
                    fmt::format("{} {} {} is cut for {} ms", from, both ? "and" : "to", to, ms));
  parts_.network.cut(from, to);
  ++cuts_[{from, to}];
  tasks_.spawn(heal_later(from, to, ms));
  if (!both) return;
  parts_.network.cut(to, from);
  ++cuts_[{to, from}];
  tasks_.spawn(heal_later(to, from, ms));
}

net::Task<void> Nemesis::heal_later(std::string from, std::string to, int64_t ms) {
  co_await parts_.sleep_ms(ms);
  if (--cuts_[{from, to}] == 0) parts_.network.heal(from, to);
}

void Nemesis::slow_line() {
  const auto [from, to] = any_line();
  const int64_t most = parts_.chance(50) ? 3 : parts_.draw(10, 900);
  parts_.story.tell("network", fmt::format("{} to {} takes up to {} ms", from, to, most));
  parts_.network.set_delay(from, to, {most / 3, most});
}

// Of two sites, or of an app, its sidecar and its mongod.
void Nemesis::reset_line() {
  auto [from, to] = any_line();
  if (parts_.chance(50)) to = from;
  parts_.story.tell("network", fmt::format("connections of {} and {} are reset", from, to));
  parts_.network.reset(from, to);
}

void Nemesis::kill_sidecar() {
  WorldSite& site = any_site();
  if (!site.sidecar_runs()) return;
  site.kill_sidecar();
  tasks_.spawn(bring_back(site, some_ms()));
}

void Nemesis::kill_mongod() {
  WorldSite& site = any_site();
  if (parts_.chance(50)) return tasks_.spawn(kill_while_writing(site, &WorldSite::kill_mongod));
  if (!site.mongod_runs()) return;
  site.kill_mongod();
  tasks_.spawn(bring_back(site, some_ms()));
}

void Nemesis::kill_both() { tasks_.spawn(kill_while_writing(any_site(), &WorldSite::kill_both)); }

void Nemesis::cut_power() {
  WorldSite& site = any_site();
  if (parts_.chance(50)) return tasks_.spawn(kill_while_writing(site, &WorldSite::cut_power));
  site.cut_power();
  tasks_.spawn(bring_back(site, some_ms()));
}

// Mongod has answered what its journal does not hold, which is so for a moment now and then.
net::Task<void> Nemesis::kill_while_writing(WorldSite& site, void (WorldSite::*kill)()) {
  for (int64_t waited_ms = 0; waited_ms < kWritingMsMax; waited_ms += kLookMs) {
    const bool both_run = site.mongod_runs() && site.sidecar_runs();
    if (both_run && site.mongod().unjournaled() > 0) break;
    co_await parts_.sleep_ms(kLookMs);
  }
  co_await parts_.sleep_ms(parts_.draw(0, kLookMs));
  if (!site.mongod_runs() || !site.sidecar_runs()) co_return;
  (site.*kill)();
  co_await bring_back(site, some_ms());
}

void Nemesis::change_clock() {
  WorldSite& site = any_site();
  const int64_t ms = parts_.draw(-kClockMsMax, kClockMsMax);
  parts_.story.tell(site.name(), fmt::format("its clock is {} ms ahead", ms));
  site.clock().set_off_ms(ms);
}

// Mostly while a write of an app waits for a sync, which then is what fails.
net::Task<void> Nemesis::fail_disk(WorldSite& site) {
  for (int64_t waited_ms = 0; waited_ms < kWritingMsMax; ++waited_ms) {
    const Sidecar* sidecar = site.sidecar();
    const bool is_writing = sidecar != nullptr && site.disk().unsynced() > 0 &&
                            sidecar->replica()->status().open_writes > 0;
    if (is_writing) break;
    co_await parts_.sleep_ms(1);
  }
  if (site.sidecar_runs()) site.fail_disk(some_ms());
}

net::Task<void> Nemesis::bring_back(WorldSite& site, int64_t ms) {
  ++down_[&site];
  co_await parts_.sleep_ms(ms);
  if (--down_[&site] > 0) co_return;  // the last of them brings it back
  // In either order: a sidecar waits for its store.
  const bool store_first = parts_.chance(50);
  if (store_first && !site.mongod_runs()) site.start_mongod();
  if (!site.sidecar_runs()) site.start_sidecar();
  if (site.mongod_runs()) co_return;
  co_await parts_.sleep_ms(parts_.draw(1, 3'000));
  if (!site.mongod_runs()) site.start_mongod();
}

net::Task<void> Nemesis::heal() {
  co_await tasks_.until_empty();
  for (const auto& from : sites_) {
    from->clock().set_off_ms(0);
    for (const auto& to : sites_) {
      if (from == to) continue;
      parts_.network.heal(from->name(), to->name());
      parts_.network.set_delay(from->name(), to->name(), {0, 2});
    }
  }
  parts_.story.tell("world", "everything is healed");
}

}  // namespace outrigger::world
