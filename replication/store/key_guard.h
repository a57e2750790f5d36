// What an index does about keys that documents have in common, and how MongoDB says that.
//
// A unique index cannot be told to let two documents share a key, but MongoDB has, from 6.0 on, one
// that does: with `prepareUnique` an index refuses what would be a new duplicate and leaves alone
// those that are there. It can be made unique once there are none, and not the other way round: a
// unique index is dropped and made anew. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replication/bson/bson.h"

namespace outrigger {

// Which duplicates an index refuses.
enum class KeyGuard : uint8_t {
  kAll,   // it is unique
  kNew,   // there may be some, and no write makes another one
  kNone,  // any write may
};

struct KeyIndex {
  std::string spec;  // BSON, as listIndexes has it, but for its guard
  KeyGuard guard = KeyGuard::kNone;
  bool is_being_built = false;
};

// What became of an index that was to get another guard.
struct GuardChange {
  static constexpr int32_t kHasDuplicates = 359;  // CannotConvertIndexToUnique
  static constexpr int32_t kInProgress = 117;     // it is being built: ask again later
  static constexpr int32_t kNoIndex = 27;         // there is none to be made unique

  int32_t code = 0;  // 0: it has it; else one of these, or mongod's own
  std::string message;
  // Of those that keep it from being unique, as far as mongod tells: the _ids that share a key.
  std::vector<std::vector<bson::OwnedValue>> duplicates{};
  bool is_away = false;  // there is none now, and none can be made
  [[nodiscard]] bool ok() const { return code == 0; }
};

// Whether a MongoDB has kNew: by its release, and by the version as of which it behaves, "5.0";
// empty: it does not say.
[[nodiscard]] bool can_guard_keys(int32_t wire_version_max, std::string_view feature_version);

// Of an index as listIndexes or createIndexes says it.
[[nodiscard]] KeyGuard guard_of(const bson::Document& spec);
// The same index with this guard.
[[nodiscard]] std::string with_guard(const bson::Document& spec, KeyGuard guard);
[[nodiscard]] std::string_view index_name_of(const bson::Document& spec);
// By the same fields, in the same order and direction: as `key` of a spec has them.
[[nodiscard]] bool are_same_fields(const bson::Document& a, const bson::Document& b);
// Do both index the same documents by the same keys? What collMod changes of one does not count,
// nor does what only one of them says.
[[nodiscard]] bool is_same_index(const bson::Document& a, const bson::Document& b);

}  // namespace outrigger
