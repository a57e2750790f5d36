#include "replication/record/contest_rule.h"

#include "replication/record/bytes.h"

namespace outrigger {

std::string to_text(const ContestRule& rule) {
  switch (rule.kind) {
    case ContestKind::kNone:
      return "lww";
    case ContestKind::kFirstWins:
      return "first_wins";
    case ContestKind::kMax:
      return "max";
    case ContestKind::kMin:
      return "min";
    case ContestKind::kLongest:
      return "longest";
    case ContestKind::kMultiValue:
      return "multi_value";
    case ContestKind::kUnion:
      return "union";
    case ContestKind::kPrefer:
    case ContestKind::kSite:
      break;
  }
  std::string text = rule.kind == ContestKind::kSite ? "site[" : "prefer[";
  for (const std::string& each : rule.preferred) {
    text += (&each == &rule.preferred.front() ? "" : ", ") + each;
  }
  return text + "]";
}

namespace {
bool has_list(ContestKind kind) {
  return kind == ContestKind::kPrefer || kind == ContestKind::kSite;
}
}  // namespace

void write(ByteWriter& out, const ContestRule& rule) {
  out.u8(static_cast<uint8_t>(rule.kind));
  if (!has_list(rule.kind)) return;
  out.u8(static_cast<uint8_t>(rule.preferred.size()));
  for (const std::string& each : rule.preferred) out.bytes(each);
  if (rule.kind == ContestKind::kSite) out.bytes(rule.author);
}

void read(ByteReader& in, ContestRule& rule) {
  const uint8_t kind = in.u8();
  if (kind == 0 || kind > kContestKindMax) return in.fail("unknown rule of a contest");
  rule.kind = static_cast<ContestKind>(kind);
  if (!has_list(rule.kind)) return;
  for (size_t n = in.u8(); n > 0 && in.ok(); --n) {
    in.spend(sizeof(std::string));
    rule.preferred.emplace_back(in.bytes());
    if (rule.preferred.back().size() > kPreferredMax) in.fail("preferred text too long");
  }
  if (rule.kind != ContestKind::kSite) return;
  rule.author = in.bytes();
  if (rule.author.size() > kPreferredMax) in.fail("name of a site too long");
}

}  // namespace outrigger
