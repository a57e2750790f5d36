// A small world of sites that write, exchange records and reports, forget, crash and restart, all
// decided by one seed. Nothing of a document is kept in memory between two operations but the
// bytes of its row and the stored document, as in the product.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/policy.h"
#include "replication/causality/hybrid_clock.h"
#include "replication/causality/stability.h"
#include "replication/merge/losses.h"
#include "replication/merge/merge.h"
#include "replication/merge/worlds/merge_world_values.h"

namespace outrigger::merge {

struct WorldOptions {
  bool collect = true;    // drop rows when they are stable
  bool add_only = false;  // documents are made once, numbers only incremented, arrays only edited
  bool contests = false;  // values of some paths stand beside each other until a rule decides
  bool versions = false;  // documents count versions, and values are contested besides
  bool bounds = false;    // sums stay within bounds, of each site its own
  bool sets = false;      // arrays are sets from which what was taken away stays away
  bool yields = false;    // removals of the second document yield to what they had not seen
};

// Documents are known by their _id as text, whatever the type: 1 and 1.0 are one.
[[nodiscard]] std::string id_text(const bson::OwnedValue& id);

class WorldSite {
 public:
  WorldSite(uint8_t name, size_t members, int64_t wall_ms);

  void restart(std::mt19937_64& random);
  [[nodiscard]] bool locked(const std::string& id) const;
  [[nodiscard]] DocumentState load(const std::string& id) const;

  // Local writes: stamp and dependencies, then effects, then publication in stamp order.
  void begin(std::vector<AppWrite> writes);
  void settle(size_t index, bool happened);
  void publish(bool heartbeat);
  [[nodiscard]] size_t in_flight() const { return in_flight_.size(); }

  [[nodiscard]] bool deliverable(const Published& published) const;
  // `more`: others come with it, and what lost is told after them all.
  void receive(const Published& published, bool more = false);
  void end_batch();
  void apply(const Record& record);

  [[nodiscard]] Report report();
  [[nodiscard]] VersionVector issued() const;
  void collect(bool drop_rows);
  // What its store shows otherwise than its rows say.
  void correct();

  ManualClock clock;
  std::map<std::string, std::string> store;
  std::map<std::string, std::string> rows;
  VersionVector vector;
  std::map<Origin, std::vector<Published>> log;
  std::unique_ptr<Stability> stability;
  uint64_t drops = 0;
  std::map<std::string, std::vector<Loss>> losses;  // by document
  std::set<std::string> to_correct;                 // documents
  const Policy* policy = nullptr;  // borrowed; null: every path merges by operation

 private:
  struct InFlight {
    Record record;
    std::vector<AppWrite> writes;
  };
  void put(const std::string& id, const DocumentState& state, std::optional<std::string> document);
  // What its row stands for. Throws where that is not what the store shows.
  DocumentState shows_store(const std::string& id, const std::string& what) const;

  Origin origin_;
  struct Batch {
    std::vector<Loss> losses;
    std::vector<Touched> touched;
  };
  std::map<std::string, Batch> batch_;  // by document
  const size_t members_;
  uint64_t serial_ = 0;
  std::unique_ptr<HybridClock> hybrid_;
  Hlc issued_ = 0;
  std::vector<InFlight> in_flight_;
  std::vector<Record> settled_;
};

class MergeWorld {
 public:
  MergeWorld(uint64_t seed, WorldOptions options);
  // Runs to quiescence, twice; what went wrong, or nothing.
  [[nodiscard]] std::string run();

  [[nodiscard]] const std::map<std::string, std::string>& documents() const;
  [[nodiscard]] uint64_t drops() const;
  // What each site noted, by document. Borrowed.
  [[nodiscard]] std::vector<const std::map<std::string, std::vector<Loss>>*> noted() const;
  [[nodiscard]] size_t out_of_bounds() const;                // documents in which a bound shows
  [[nodiscard]] int64_t added(const std::string& id) const;  // add_only: sum of all increments of n
  // All that was ever written, by origin.
  [[nodiscard]] const std::map<Origin, std::vector<Published>>& log() const {
    return sites_.front()->log;
  }
  // add_only: what was added to `q` of each element of `e`, by its `k`.
  [[nodiscard]] const std::map<std::string, int64_t>& counted() const { return counted_; }
  [[nodiscard]] bool yields() const { return options_.yields; }
  [[nodiscard]] bool has_sets() const { return options_.sets; }
  uint64_t records = 0;

 private:
  size_t pick(size_t count) { return random_() % count; }
  bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }
  std::optional<AppWrite> random_write(const WorldSite& site, const std::string& id);
  AppWrite creation(const std::string& id);
  AppWrite creation(const std::string& id, bool insert);
  std::optional<AppWrite> update(const WorldSite& site, const std::string& id,
                                 const std::string& document);
  std::optional<AppWrite> increment(const WorldSite& site, const std::string& id,
                                    const std::string& document);
  void write(WorldSite& site);
  size_t pull(WorldSite& to, WorldSite& from, size_t records_max);
  void tell(WorldSite& to, WorldSite& from, bool everything);
  void collect(WorldSite& site);
  void crash(WorldSite& site, WorldSite& from);
  void lull(bool everyone);
  void step();
  [[nodiscard]] std::string compare() const;
  [[nodiscard]] std::string finish();

  std::mt19937_64 random_;
  std::mt19937_64 quiet_;  // for decisions that must not differ between twin runs
  WorldOptions options_;
  std::vector<std::unique_ptr<WorldSite>> sites_;
  std::vector<std::string> ids_ = {"1", "2"};
  std::vector<Report> bag_;
  std::map<std::string, int64_t> added_;
  std::map<std::string, int64_t> counted_;
  RandomValues values_;
  RandomEdits arrays_;
  std::vector<std::unique_ptr<Policy>> policies_;
};

}  // namespace outrigger::merge
