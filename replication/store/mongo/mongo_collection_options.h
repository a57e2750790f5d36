// The options that make a collection what it is at every site; others (the storage engine's) are
// the site's own. How `create` and `collMod` name them, and what says that there is none.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "replication/bson/bson.h"

namespace outrigger::mongo {

inline constexpr std::string_view kCapped = "capped";
inline constexpr std::string_view kCollation = "collation";
inline constexpr std::string_view kSeries = "timeseries";

struct CollectionOption {
  std::string_view name;
  std::string_view unset;               // "": collMod cannot take it away; see append_unset
  std::string_view in_coll_mod = name;  // what that calls it
};
inline constexpr auto kOptionsKnown = std::to_array<CollectionOption>({
    {"validator", "{}"},
    {"validationLevel", "strict"},
    {"validationAction", "error"},
    {"changeStreamPreAndPostImages", "disabled"},
    {"expireAfterSeconds", "off"},
    {"size", "0", "cappedSize"},
    {"max", "0", "cappedMax"},
    {kCapped, ""},
    {kCollation, ""},
    {"clusteredIndex", ""},
    {kSeries, ""},
    {"viewOn", ""},
    {"pipeline", ""},
});

inline const CollectionOption* known_option(std::string_view name) {
  const auto found = std::find_if(kOptionsKnown.begin(), kOptionsKnown.end(),
                                  [&](const CollectionOption& each) { return each.name == name; });
  return found == kOptionsKnown.end() ? nullptr : &*found;
}

// Said by collMod though nobody asked for it.
inline bool is_default(const CollectionOption& option, const bson::Value& value) {
  if (option.name == kCapped || option.unset == "0") return !value.truthy();
  if (value.type == bson::Type::kString) return value.as_string() == option.unset;
  return option.unset == "{}" && value.type == bson::Type::kDocument && value.as_document().empty();
}

inline void append_unset(const CollectionOption& option, bson::Writer& out) {
  if (option.unset == "{}") {
    out.open_document(option.name).close();
  } else if (option.unset == "0") {
    out.int32(option.in_coll_mod, 0);
  } else if (option.unset == "disabled") {
    out.open_document(option.name).boolean("enabled", false).close();
  } else {
    out.string(option.name, option.unset);
  }
}

}  // namespace outrigger::mongo
