// Which of several values that stand side by side at one path shows.
//
// It travels with each of them, so that sites agree on a document whatever their settings say by
// the time they merge: a record that comes late, or again, is merged as its author meant it. Where
// values bring different rules, the newest value's decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace outrigger {

// The codes in the bytes of effects and rows (FORMATS.md): they never change.
enum class ContestKind : uint8_t {
  kNone = 0,        // no contest: the newest value takes the place of all
  kFirstWins = 1,   // the oldest shows
  kMax = 2,         // the largest, in the order in which MongoDB sorts values
  kMin = 3,         // the smallest
  kPrefer = 4,      // the text that stands last in `preferred`
  kLongest = 5,     // the text of the most characters
  kMultiValue = 6,  // the newest
  kSite = 7,        // that of the site that stands last in `preferred`
  kUnion = 8,       // an array of what is in all of them, each once
};
inline constexpr uint8_t kContestKindMax = 8;

struct ContestRule {
  ContestKind kind = ContestKind::kNone;
  // kPrefer: texts; every other text, and no text, is before these. kSite: names of sites, as well.
  std::vector<std::string> preferred;
  std::string author{};  // kSite: the name of the site that gave the value

  [[nodiscard]] bool is_contest() const { return kind != ContestKind::kNone; }
  friend bool operator==(const ContestRule&, const ContestRule&) = default;
};
inline constexpr size_t kPreferredMax = 255;  // and the bytes of each

// "max", "prefer[open, paid]": as it is written in the settings.
[[nodiscard]] std::string to_text(const ContestRule& rule);

class ByteWriter;
class ByteReader;
// Of a rule that is one.
void write(ByteWriter& out, const ContestRule& rule);
void read(ByteReader& in, ContestRule& rule);

}  // namespace outrigger
