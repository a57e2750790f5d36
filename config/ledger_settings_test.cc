// How much of the ledger is kept, and for how long.
#include "config/loader_testing.h"

namespace outrigger {
namespace {

using testing::BadCase;

LedgerSettings ledger_of(const std::string& yaml) {
  const auto settings = parse_settings(testing::kMinimal + yaml, "f.yaml");
  EXPECT_TRUE(settings.has_value()) << testing::errors_of(testing::kMinimal + yaml);
  return settings ? settings->ledger : LedgerSettings();
}

TEST(LedgerSettings, KeepForEverUnlessTheySayHowLong) {
  EXPECT_EQ(ledger_of("").keep_ms, 0);
  EXPECT_EQ(ledger_of("ledger: {max_bytes: 64MiB}\n").keep_ms, 0);
  EXPECT_EQ(ledger_of("ledger: {keep_for: 0}\n").keep_ms, 0);
  EXPECT_EQ(ledger_of("ledger: {keep_for: 90d}\n").keep_ms, 90LL * 86'400'000);
  EXPECT_EQ(ledger_of("ledger: {keep_for: 90d, max_bytes: 64MiB}\n").bytes_max, 64ULL << 20);
}

TEST(LedgerSettings, NameWhatIsWrong) {
  const BadCase bad[] = {
      {"no_unit", "ledger: {keep_for: 90}\n", "f.yaml:4: ledger.keep_for",
       "expected a duration such as 500ms, 60s, 15m, 12h or 30d, or 0 (for ever), found '90'"},
      {"nothing", "ledger: {keep_for: }\n", "f.yaml:4: ledger.keep_for", "expected a duration"},
      {"list", "ledger: {keep_for: [90d]}\n", "f.yaml:4: ledger.keep_for", "expected a duration"},
      {"no_time", "ledger: {keep_for: 0d}\n", "f.yaml:4: ledger.keep_for", "expected a duration"},
  };
  for (const BadCase& each : bad) testing::expect_refused(each);
}

}  // namespace
}  // namespace outrigger
