#include "proxy/app/store_start.h"

#include <fmt/format.h>

#include <utility>

#include "replication/store/store_version.h"

namespace outrigger {
namespace {

constexpr auto kStoreSlice = std::chrono::milliseconds(2'000);
constexpr auto kAgain = std::chrono::milliseconds(500);

}  // namespace

bool is_away(const Error& error) {
  return error.code == ErrorCode::kTimeout || error.code == ErrorCode::kUnavailable;
}

std::string describe_store(const StoreInfo& info, const std::string& address) {
  if (info.kind == StoreKind::kStandalone) {
    return fmt::format("standalone {} at {}", info.version, address);
  }
  return fmt::format("replica set {} ({}) at {}", info.set_name, info.version, address);
}

Status wait_for_store(Store& store, const std::atomic<bool>& stopping, const Logger& log) {
  bool said = false;
  for (;;) {
    const Status available = store.wait_available(kStoreSlice);
    if (available) return {};
    if (stopping) return fail(ErrorCode::kClosed, "start", "", "stopped");
    if (!is_away(available.error())) return available;
    if (!said) log->warn("waiting for the store: {}", available.error().message());
    said = true;
  }
}

Result<StoreInfo> check_store(Store& store, const std::string& address,
                              const ListedMembers& members, const Logger& log) {
  Result<StoreInfo> info = store.info();
  if (!info) return info;
  if (info->wire_version_max < kWireVersionMin) {
    return fail(ErrorCode::kUnsupported, "start", describe_store(*info, address),
                "it is older than MongoDB 4.4, and does not say which of its runs answers",
                "upgrade it");
  }
  const Status served = members.check(*info, log);
  if (!served) return tl::unexpected(served.error());
  const auto missing = store.missing_rights();
  if (!missing) return tl::unexpected(missing.error());
  if (!missing->empty()) {
    return fail(ErrorCode::kRefused, "start", "the store user of store.uri",
                fmt::format("lacks the rights: {}", fmt::join(*missing, "; ")),
                "grant them, for instance with a role made by createRole");
  }
  // Elsewhere it may write: only what other sites write there is set aside.
  const auto somewhere = store.forbidden("");
  if (somewhere && !somewhere->empty()) log->warn("{}{}", kLacksRights, *somewhere);
  const Status journaled = store.wait_journaled();
  if (!journaled && is_away(journaled.error())) return tl::unexpected(journaled.error());
  if (!journaled && journaled.error().reason.find("(code 2)") != std::string::npos) {  // BadValue
    return fail(ErrorCode::kRefused, "start", describe_store(*info, address),
                "it does not wait for its journal: " + journaled.error().reason,
                "start mongod with its journal (without --nojournal): what a peer has been told "
                "must outlive a crash");
  }
  return info;
}

Status check_rules(const Settings& settings, const StoreInfo& info, const std::string& address) {
  const bool is_behind =
      has(info.wire_version_max, StoreFeature::kPreparesUnique) && !info.can_guard();
  for (const ReplicateRule& rule : settings.replicate) {
    if (rule.unique != UniquePolicy::kKeep || info.can_guard()) continue;
    return fail(ErrorCode::kUnsupported, "start", describe_store(info, address),
                "unique: keep, as of namespace " + rule.namespace_glob + ", needs MongoDB 6.0" +
                    (is_behind ? ", and its featureCompatibilityVersion is " + info.feature_version
                               : std::string()),
                is_behind ? "run setFeatureCompatibilityVersion, or say unique: park there, at "
                            "every site"
                          : "upgrade MongoDB, or say unique: park there, at every site");
  }
  return {};
}

Status settle_last_run(Recovery& recovery, Applier& applier, Threads& threads,
                       const std::atomic<bool>& stopping, const Logger& log,
                       const Logger& store_log) {
  std::string held_up;
  for (;;) {
    const Result<RecoveryReport> report = recovery.run(applier);
    if (report) {
      if (report->happened + report->adopted + report->dropped > 0) {
        log->warn("recovered: {} writes had happened, {} adopted as found, {} had not happened",
                  report->happened, report->adopted, report->dropped);
      }
      return {};
    }
    if (stopping) return tl::unexpected(report.error());
    // A right may be missing where a write has to be looked at: it may be granted.
    if (!is_away(report.error()) && report.error().code != ErrorCode::kRefused) {
      return tl::unexpected(report.error());
    }
    if (std::exchange(held_up, report.error().message()) != report.error().message()) {
      store_log->warn("recovery is held up: {}", held_up);
    }
    threads.sleep(kAgain);
  }
}

}  // namespace outrigger
