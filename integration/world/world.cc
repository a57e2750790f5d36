#include "integration/world/world.h"

#include <fmt/format.h>

#include "integration/world/nemesis.h"
#include "integration/world/world_accounts.h"
#include "replication/merge/row.h"
#include "replication/record/record_codec.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger::world {
namespace {

constexpr int64_t kRestMsMax = 30 * 60'000;  // for everybody to have everything, and collect it
constexpr int64_t kLookMsMax = 10'000;
constexpr int64_t kSettleMs = 10'000;    // for what is parked to be tried again
constexpr int64_t kLastWriteMs = 5'000;  // for what was acknowledged last to be published
const std::vector<std::string> kNames{"bergen", "oslo", "paris"};

std::string shown(const VersionVector& vector) {
  std::string out;
  for (const auto& [origin, hlc] : vector.entries()) {
    out += fmt::format(" {:02x}{:02x}.{:04x}:{:x}", origin.site[0], origin.site[1],
                       origin.epoch & 0xffff, hlc);
  }
  return out;
}

class World {
 public:
  explicit World(const WorldOptions& options) : options_(options), parts_(options.seed) {
    if (options.aloud) parts_.story.tell_aloud();
    const bool updates_win = parts_.chance(50);
    for (const std::string& name : kNames) {
      for (const std::string& to : kNames) {
        const int64_t most = name == to ? 1 : parts_.draw(0, 40);
        parts_.network.set_delay(name, to, {0, most});
      }
      const WorldSite::Nature nature{parts_.chance(30), some_release(), updates_win};
      sites_.push_back(std::make_unique<WorldSite>(parts_, name, kNames, nature));
      make_accounts(*sites_.back());
    }
  }

  WorldReport run() {
    parts_.loop.block_on(live());
    WorldReport report;
    report.violations = book_.violations();
    report.story = parts_.story.text();
    report.digest = parts_.story.digest();
    report.events = parts_.story.events();
    report.acknowledged = book_.acknowledged();
    report.site_hours = static_cast<double>(parts_.time->now_us()) / 3.6e9 * kNames.size();
    return report;
  }

 private:
  // Each site runs its own: the sidecar goes by what its mongod says of itself.
  int32_t some_release() {
    std::vector<int32_t> wire_versions = {9, 13, 17, 21, 25};  // 4.4, 5.0, 6.0, 7.0, 8.0
    return parts_.pick(wire_versions);
  }
  net::Task<void> live() {
    for (const auto& site : sites_) {
      site->start_mongod();
      site->start_sidecar();
    }
    (void)co_await until(&World::all_serve, "serves");
    make_apps();
    Nemesis nemesis(parts_, sites_);
    net::TaskGroup tasks;
    for (const auto& app : apps_) tasks.spawn(app->run());
    for (const auto& clerk : clerks_) tasks.spawn(clerk->run_accounts());
    tasks.spawn(nemesis.run());
    for (int64_t ms = 0; ms < options_.minutes * 60'000;) {
      const int64_t pause_ms = parts_.draw(1, kLookMsMax);
      co_await parts_.sleep_ms(pause_ms);
      ms += pause_ms;
      for (const auto& site : sites_) look_at_vector(*site);
    }
    nemesis.end();
    co_await nemesis.heal();
    co_await parts_.sleep_ms(parts_.draw(1, 5'000));
    for (const auto& app : apps_) app->end();
    for (const auto& clerk : clerks_) clerk->end();
    co_await tasks.until_empty();
    co_await rest();
    for (const auto& site : sites_) co_await site->stop();
    co_await parts_.network.stop();
    co_await parts_.sleep_ms(1);
  }

  void make_apps() {
    const int64_t pause_ms = options_.pause_ms_max > 0 ? options_.pause_ms_max
                             : parts_.chance(80)       ? 300'000
                                                       : 40'000;
    for (int number = 1; number <= kApps; ++number) {
      const WorldSite& site = *sites_[static_cast<size_t>(number - 1) % sites_.size()];
      apps_.push_back(std::make_unique<WorldApp>(parts_, book_, number, site, pause_ms));
    }
    int number = kApps;
    for (const auto& site : sites_) {
      clerks_.push_back(std::make_unique<WorldApp>(parts_, book_, ++number, *site, pause_ms));
    }
  }

  // False: it did not come to that, and the book says so.
  net::Task<bool> until(bool (World::*is_so)() const, const char* what) {
    for (int64_t ms = 0; ms < kRestMsMax; ms += 500) {
      if ((this->*is_so)()) co_return true;
      co_await parts_.sleep_ms(500);
    }
    book_.say(fmt::format("not every site {} after half an hour", what));
    tell_states();
    co_return false;
  }

  net::Task<void> rest() {
    const bool serve = co_await until(&World::all_serve, "serves");
    if (serve) {
      for (const auto& app : apps_) co_await app->write_last();
      co_await parts_.sleep_ms(kLastWriteMs);
      const bool all = co_await until(&World::all_have_all, "has everything");
      co_await parts_.sleep_ms(kSettleMs);
      for (const auto& site : sites_) book_.check(site->name(), site->mongod());
      for (size_t i = 1; i < sites_.size(); ++i) {
        book_.compare(sites_[0]->name(), sites_[0]->mongod(), sites_[i]->name(),
                      sites_[i]->mongod());
      }
      check_accounts();
      apps_.clear();
      if (all) co_await free_accounts();
      clerks_.clear();
      if (all) (void)co_await until(&World::nothing_is_left, "has let go of everything");
    }
    for (const auto& site : sites_) {
      tell_of_trouble(*site);
      for (const std::string& trouble : site->troubles()) book_.say(site->name() + " " + trouble);
    }
  }

  void check_accounts() {
    for (const auto& site : sites_) {
      for (const auto& other : sites_) {
        for (std::string& wrong : look_at_accounts(*site, *other)) book_.say(std::move(wrong));
      }
    }
  }

  // Whoever stands before others goes, until nobody is parked.
  net::Task<void> free_accounts() {
    for (int round = 0; round <= kAccountsMax; ++round) {
      if (parked_accounts(*sites_[0]) == 0) co_return;
      co_await clerks_.front()->delete_accounts();
      (void)co_await until(&World::all_have_all, "has everything");
      co_await parts_.sleep_ms(kSettleMs);
      check_accounts();
    }
    book_.say("accounts stay parked although nobody stands before them");
  }

  void tell_of_trouble(const WorldSite& site) {
    if (!site.sidecar()) return;
    const ReplicaStatus status = site.sidecar()->status().replica;
    for (const std::string& alarm : status.alarms) book_.say(site.name() + " is alarmed: " + alarm);
    if (status.quarantined > 0) book_.say(site.name() + " has quarantined a record");
    if (status.not_applied > 0) book_.say(site.name() + " has set a document aside");
    if (status.outbox_failure) book_.say(site.name() + " has a failed outbox");
  }

  // Whatever a site says it has of another is in its store, as far as that cannot be gone again.
  void look_at_vector(const WorldSite& site) {
    if (!site.sidecar()) return;
    const VersionVector applied = site.sidecar()->replica()->applied();
    for (const auto& author : sites_) {
      if (author->name() == site.name() || !author->sidecar()) continue;
      const Origin origin = author->sidecar()->replica()->hello().run();
      const Hlc through = applied.at(origin);
      const auto entries = author->disk().read_entries(origin, 0, through, SIZE_MAX);
      for (const auto& [stamp, bytes] : *entries) {
        const auto record = decode_record(bytes);
        if (!record) continue;
        for (const DocumentEffects& document : record->documents) look_for(site, document);
      }
    }
  }

  void look_for(const WorldSite& site, const DocumentEffects& written) {
    const std::string kept = std::string("shop.") + kKept;
    if (written.ns != kept || site.documents().document(kept, written.id)) return;
    book_.say(fmt::format("{} says it has {}, and has not", site.name(),
                          bson::to_json(written.id.view())));
  }

  [[nodiscard]] bool all_serve() const {
    for (const auto& site : sites_) {
      if (!site->sidecar() || !site->sidecar()->ready()) return false;
    }
    return true;
  }

  [[nodiscard]] bool all_have_all() const {
    const VersionVector first = sites_[0]->sidecar()->replica()->applied();
    for (const auto& site : sites_) {
      const ReplicaStatus status = site->sidecar()->status().replica;
      if (status.inbox_records > 0 || status.open_writes > 0 || !status.held.empty()) return false;
      if (status.applied != first) return false;
    }
    return true;
  }

  // Records and metadata only of what is not yet stable; no lock, and no note of a connection that
  // is gone.
  // Names of elements stay as long as their array.
  [[nodiscard]] static size_t rows_that_wait(const WorldSite& site) {
    size_t rows = 0;
    (void)site.disk().scan_rows("", SIZE_MAX,
                                [&](std::string_view, std::string_view, std::string_view bytes) {
                                  rows += merge::counts(bytes) ? 1 : 0;
                                });
    return rows;
  }

  [[nodiscard]] bool nothing_is_left() const {
    for (const auto& site : sites_) {
      if (site->sidecar()->locks().size() > 0) return false;
      if (rows_that_wait(*site) > 0) return false;
      if (site->disk().size(outbox::Family::kPrepares) > 0) return false;
      if (site->disk().size(outbox::Family::kEntries) > 0) return false;
      if (!site->disk().scan_meta(meta_keys::kBackend)->empty()) return false;
    }
    return true;
  }

  void tell_states() {
    for (const auto& site : sites_) {
      if (!site->sidecar()) {
        parts_.story.tell(site->name(), "does not serve");
        continue;
      }
      const ReplicaStatus status = site->sidecar()->status().replica;
      std::string text = fmt::format(
          "inbox {}, open writes {}, rows {}, records {}, prepares {}, locks {}, notes {}",
          status.inbox_records, status.open_writes, rows_that_wait(*site),
          site->disk().size(outbox::Family::kEntries), site->disk().size(outbox::Family::kPrepares),
          site->sidecar()->locks().size(), site->disk().scan_meta(meta_keys::kBackend)->size());
      text += "; stable" + shown(status.stable) + "; applied" + shown(status.applied);
      for (const std::string& held : status.held) text += "; held: " + held;
      for (const std::string& alarm : status.alarms) text += "; alarm: " + alarm;
      parts_.story.tell(site->name(), text);
    }
  }

  const WorldOptions options_;
  WorldParts parts_;
  WorldBook book_;
  std::vector<std::unique_ptr<WorldSite>> sites_;
  std::vector<std::unique_ptr<WorldApp>> apps_;
  std::vector<std::unique_ptr<WorldApp>> clerks_;  // apps that write accounts alone
};

}  // namespace

WorldReport run_world(const WorldOptions& options) {
  World world(options);
  return world.run();
}

}  // namespace outrigger::world
