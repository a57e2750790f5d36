// What one MongoDB can do and another cannot, by the version that its hello names.
//
// Releases are told apart by maxWireVersion: it is what the server itself says it speaks, whatever
// its featureCompatibilityVersion, which is asked for by itself where that counts (StoreInfo). Each
// difference that this program or its MongoDB in memory goes by stands here, with where it is
// written down. What was run is said in the README.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace outrigger {

enum class StoreFeature : uint8_t {
  kNamesProcess,
  kDiffsInOplog,
  kMajorityByDefault,
  kNamesCollections,
  kTellsRetried,
  kPreparesUnique,
  kSortsUpdates,
};

struct StoreFeatureRow {
  StoreFeature feature;
  int32_t wire_version;  // the first that has it
  std::string_view release;
  std::string_view what;
  std::string_view source;
};

inline constexpr std::array kStoreFeatures{
    StoreFeatureRow{StoreFeature::kNamesProcess, 9, "4.4",
                    "hello tells in topologyVersion.processId which process answers",
                    "driver specifications, server-discovery-and-monitoring: topologyVersion"},
    StoreFeatureRow{StoreFeature::kDiffsInOplog, 13, "5.0",
                    "an update stands in the oplog as a diff, {$v: 2, diff}; before as {$v: 1, "
                    "$set, $unset}",
                    "server source, update_oplog_entry_serialization.h"},
    StoreFeatureRow{StoreFeature::kMajorityByDefault, 13, "5.0",
                    "a write without a concern waits for the majority",
                    "manual, Default MongoDB Read Concerns/Write Concerns"},
    StoreFeatureRow{StoreFeature::kNamesCollections, 17, "6.0",
                    "a write may say by `collectionUUID` which collection it means; earlier ones "
                    "refuse the field with 40415",
                    "manual, error CollectionUUIDMismatch (361)"},
    StoreFeatureRow{StoreFeature::kTellsRetried, 17, "6.0",
                    "an answer lists in `retriedStmtIds` what was done before",
                    "server tests of retryable writes, tag requires_fcv_60"},
    StoreFeatureRow{StoreFeature::kPreparesUnique, 17, "6.0",
                    "collMod makes an index refuse new duplicates by `prepareUnique`",
                    "manual, collMod: Convert an Existing Index to a Unique Index"},
    StoreFeatureRow{StoreFeature::kSortsUpdates, 25, "8.0",
                    "an update of one takes `sort`; earlier ones refuse the field with 40415",
                    "manual, update: updates.sort"},
};

// The oldest that writes go to.
inline constexpr int32_t kWireVersionMin = 9;

[[nodiscard]] constexpr const StoreFeatureRow& row_of(StoreFeature feature) {
  return *std::find_if(kStoreFeatures.begin(), kStoreFeatures.end(),
                       [&](const StoreFeatureRow& each) { return each.feature == feature; });
}
[[nodiscard]] constexpr bool has(int32_t wire_version_max, StoreFeature feature) {
  return wire_version_max >= row_of(feature).wire_version;
}

}  // namespace outrigger
