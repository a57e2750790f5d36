// What goes wrong in a world while its apps work, as the seed says: lines are cut in one direction
// or both, slow, or reset; sidecars are killed, MongoDBs crash, power fails, clocks are wrong.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "integration/world/world_site.h"

namespace outrigger::world {

class Nemesis {
 public:
  using Sites = std::vector<std::unique_ptr<WorldSite>>;
  // Both outlive it.
  Nemesis(WorldParts& parts, Sites& sites) : parts_(parts), sites_(sites) {}

  // One thing after another until end(); what it began it ends by itself.
  net::Task<void> run();
  void end() { is_over_ = true; }
  // Everything it did to lines and clocks is undone, everything that is down comes back.
  net::Task<void> heal();

 private:
  void strike();
  void cut_line();
  void slow_line();
  void reset_line();
  void kill_sidecar();
  void kill_mongod();
  void kill_both();
  net::Task<void> kill_while_writing(WorldSite& site, void (WorldSite::*kill)());
  void cut_power();
  void change_clock();
  net::Task<void> fail_disk(WorldSite& site);
  net::Task<void> heal_later(std::string from, std::string to, int64_t ms);
  net::Task<void> bring_back(WorldSite& site, int64_t ms);
  [[nodiscard]] WorldSite& any_site() { return *parts_.pick(sites_); }
  // A line between two sites, or nothing.
  [[nodiscard]] std::pair<std::string, std::string> any_line();
  // A while: mostly short, seldom long.
  [[nodiscard]] int64_t some_ms();

  WorldParts& parts_;
  Sites& sites_;
  std::map<std::pair<std::string, std::string>, int> cuts_;  // of lines, those under way
  std::map<const WorldSite*, int> down_;                     // faults that keep it down
  bool is_over_ = false;
  net::TaskGroup tasks_;
};

}  // namespace outrigger::world
