#include <gtest/gtest.h>

#include <string>

#include "tools/outriggerctl_conflicts.h"
#include "tools/outriggerctl_text.h"
#include "tools/outriggerctl_view.h"

namespace outrigger::ctl {
namespace {

constexpr int64_t kNowMs = 1'795'375'200'000;
constexpr Look kPlain{};
constexpr Look kColoured{.colours = true};

// A /status; `changes` come last and so are never read where a key is there already.
std::string status(const std::string& peer_changes = R"("state": "open", "records_behind": 0)",
                   const std::string& changes = R"("outbox_failed": "")") {
  return R"({"site": "oslo", "site_id": "5786b3fd", "version": "0.1.0", "store": "standalone",
    "store_available": true, "uptime_ms": 7200000, "connections": 2,
    "outbox": {"records": 1400, "bytes": 103109}, "inbox": {"records": 0, "bytes": 0},
    "rows": 3000, "conflicts": 1, "not_applied": 0, "open_writes": 0, "held": [],
    "peers": [{"site": "paris", "site_id": "bf2e0000", "address": "10.0.0.2:7117",
      "bytes_in": 670, "bytes_out": 27873, "rtt_ms": 12, "last_heard_ms": 1795375199500,
      "last_error": "connection refused", )" +
         peer_changes + "}], " + changes + "}";
}

std::string shown(const std::string& json, Look look = kPlain) {
  return status_text(json, kNowMs, look).value_or("(error)");
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr const char* kOverwritten = R"({"time_ms": 1795375140641, "namespace": "app.x", "_id": 1,
  "kind": "set_set", "path": "a", "lost": "from oslo", "won": "from paris",
  "lost_stamp": "2026-11-22T19:19:00.633Z@5786…/4f…",
  "won_stamp": "2026-11-22T19:19:00.641Z@bf2e…/7c…", "reason": "the later stamp stands"})";

std::string conflicts(const std::string& entries, Look look = kPlain) {
  return conflicts_text("{\"conflicts\": [" + entries + "], \"more\": false}", status(), look)
      .value_or("(error)");
}

TEST(StatusText, SaysWhatASiteHolds) {
  const std::string text = shown(status());
  EXPECT_TRUE(has(text, "oslo (outrigger 0.1.0), up 2 h\n")) << text;
  EXPECT_TRUE(has(text, "1,400 records, 100.7 KiB kept\n")) << text;
  EXPECT_TRUE(has(text, "1 losing value, 0 documents set aside\n")) << text;
}

TEST(StatusText, SaysWhatWasDroppedOfTheLedger) {
  const std::string text = shown(status("\"state\": \"open\"", R"("ledger": {"dropped": 4000})"));
  EXPECT_TRUE(has(text, "1 losing value, 4,000 older ones dropped, 0 documents")) << text;
}

TEST(StatusText, SaysWhoExpiresAndWhatForbidsIt) {
  const std::string text = shown(status("\"state\": \"open\"",
                                        R"("expiry": {"by": "both", "indexes": 2, "expired": 4000,
                                        "lacks": ["a right\n"]})"));
  EXPECT_TRUE(has(text, "expiry    by both, TTL indexes: 2, 4,000 documents deleted\n")) << text;
  EXPECT_TRUE(has(text, "expiry    a right?\n")) << text;
  EXPECT_FALSE(has(shown(status()), "expiry"));
}

TEST(StatusText, NamesWhatIsWrong) {
  EXPECT_TRUE(has(shown(status("\"state\": \"open\"", R"("outbox_failed": "disk full")")),
                  "refused: disk full"));
  EXPECT_TRUE(has(shown(R"({"site": "oslo", "held": ["a clock is ahead"]})"), "a clock is ahead"));
  EXPECT_TRUE(has(shown(R"({"site": "oslo", "store": "standalone", "store_available": false})"),
                  "standalone: not available"));
}

TEST(StatusText, ColoursOnlyWhenAsked) {
  EXPECT_FALSE(has(shown(status()), "\033"));
  EXPECT_TRUE(has(shown(status(), kColoured), "\033[32mopen\033[0m"));
}

TEST(StatusText, RefusesWhatNoOutriggerSays) {
  for (const char* json : {"", "{}", "[]", "<html>", R"({"site": 1})", R"({"site": "os)"}) {
    EXPECT_FALSE(status_text(json, kNowMs, kPlain).has_value()) << json;
  }
}

TEST(StatusText, LetsNoPeerSteerTheTerminal) {
  const std::string text = shown(status(R"("state": "waiting\u001b[2J\u009b")"));
  EXPECT_TRUE(has(text, "waiting?[2J?")) << text;
}

TEST(PeersText, ShowsLagWithRecordsBytesAndAge) {
  const std::string json =
      status(R"("state": "open", "records_behind": 1538, "bytes_behind": 2048, "behind_ms": 4200)");
  EXPECT_TRUE(has(*peers_text(json, kNowMs, kPlain), "1,538 records, 2.0 KiB, 4.2 s"));
  EXPECT_TRUE(has(*peers_text(json, kNowMs, kPlain), "500 ms ago"));
}

TEST(PeersText, ForgetsTheErrorOnceTheLinkIsOpen) {
  EXPECT_FALSE(has(*peers_text(status(), kNowMs, kPlain), "connection refused"));
  EXPECT_TRUE(
      has(*peers_text(status(R"("state": "waiting")"), kNowMs, kPlain), "connection refused"));
}

TEST(PeersText, SaysThatThereAreNone) {
  EXPECT_EQ(*peers_text(R"({"site": "oslo", "peers": []})", kNowMs, kPlain), "no peers\n");
}

TEST(ConflictsText, NamesLoserAndWinnerBySite) {
  const std::string text = conflicts(kOverwritten);
  EXPECT_TRUE(has(text, "2026-11-22 19:19:00  app.x")) << text;
  EXPECT_TRUE(has(text, "\"from oslo\" of oslo  \"from paris\" of paris\n")) << text;
}

TEST(ConflictsText, ShowsIdsOfSitesItDoesNotKnow) {
  const std::string text = *conflicts_text(
      "{\"conflicts\": [" + std::string(kOverwritten) + R"(], "more": true, "next": "77-3"})", "",
      kPlain);
  EXPECT_TRUE(has(text, "\"from oslo\" of 5786…/4f…")) << text;
  EXPECT_TRUE(has(text, "older ones: --from 77-3\n")) << text;
}

TEST(ConflictsText, ShowsADeleteAndAReasonWhereThereIsNoWinningValue) {
  const std::string deleted = R"({"_id": 2, "kind": "delete_update", "lost": {"a": 1}})";
  const std::string refused =
      R"({"_id": 3, "kind": "not_applied", "lost": {}, "reason": "E11000"})";
  EXPECT_TRUE(has(conflicts(deleted), R"({"a":1}  the delete)")) << conflicts(deleted);
  EXPECT_TRUE(has(conflicts(refused), "E11000"));
  const std::string withstood = R"({"_id": 4, "kind": "update_delete", "lost": 0})";
  EXPECT_TRUE(has(conflicts(withstood), "the delete")) << conflicts(withstood);
}

TEST(ConflictsText, CutsLongValuesBetweenCharacters) {
  const std::string text = conflicts(R"({"_id": 1, "lost": "øøøøøøøøøø", "won": 1})",
                                     Look{.colours = false, .value_columns_max = 8});
  EXPECT_TRUE(has(text, "\"øøøø...")) << text;
  EXPECT_FALSE(has(text, "\"øøøøø"));
}

TEST(ConflictText, ShowsAllOfOneInWords) {
  const std::string text =
      *conflict_text(R"({"name": "01-ab", "state": "resolved", )" + std::string(kOverwritten + 1),
                     status(), kPlain);
  for (const char* line :
       {"name      01-ab\n", "state     resolved\n", "time      2026-11-22 19:19:00 UTC\n",
        "document  app.x, _id 1\n", "path      a\n", "lost      \"from oslo\"\n",
        "          written 2026-11-22T19:19:00.633Z at oslo\n", "won       \"from paris\"\n",
        "rule      set_set: the later stamp stands\n"}) {
    EXPECT_TRUE(has(text, line)) << line << text;
  }
  EXPECT_FALSE(conflict_text("[]", "", kPlain).has_value());
}

constexpr const char* kPage = R"({"conflicts": [{"namespace": "a.b", "state": "auto", "n": 1},
  {"namespace": "a.b", "state": "open"}, {"namespace": "a.c", "state": "open"}],
  "more": true, "next": "7-1"})";

TEST(ConflictPage, HoldsTheEntriesOfAPageThatAreAskedFor) {
  const auto count = [](const ConflictFilter& filter) {
    return conflict_page(kPage, filter)->entries.size();
  };
  EXPECT_EQ(count({}), 3u);
  EXPECT_EQ(count({"a.b", ""}), 2u);
  EXPECT_EQ(count({"", "open"}), 2u);
  EXPECT_EQ(count({"a.c", "auto"}), 0u);
  EXPECT_EQ(conflict_page(kPage, {"a.b", "auto"})->entries.front(),
            R"({"namespace":"a.b","state":"auto","n":1})");
  EXPECT_FALSE(conflict_page("{}", {}).has_value());
}

TEST(ConflictPage, SaysWhatItsBodySaid) {
  const ConflictPage page = *conflict_page(kPage, {});
  EXPECT_EQ(page.next, "7-1");
  EXPECT_EQ(conflict_page(conflicts_json(page), {})->entries, page.entries);
  EXPECT_EQ(conflict_page(conflicts_json(page), {})->next, "7-1");
  EXPECT_EQ(conflict_page(R"({"conflicts": [], "more": false})", {})->next, "");
}

TEST(PathText, SaysWhoWroteWhatAndWhatItHadNotSeen) {
  const std::string text = *path_text(
      R"({"events": [{"stamp": "2026-11-22T19:19:00.633Z@5786…/4f…", "did": "set", "path": "a",
        "value": "x", "had_not_seen": []}, {"stamp": "2026-11-22T19:19:00.641Z@bf2e…/7c…",
        "did": "unset", "path": "a", "had_not_seen": ["2026-11-22T19:19:00.633Z@5786…/4f…"]}],
        "conflicts": [{"path": "a", "lost": "x", "reason": "why", "state": "auto", "name": "1-2"}],
        "whole": false})",
      status(), kPlain);
  EXPECT_TRUE(has(text, "2026-11-22T19:19:00.633Z  oslo   set    a   \"x\"\n")) << text;
  EXPECT_TRUE(has(text, "paris  unset  a          2026-11-22T19:19:00.633Z at oslo\n")) << text;
  EXPECT_TRUE(has(text, "\na: \"x\" lost, why (auto, 1-2)\n")) << text;
  EXPECT_TRUE(has(text, "there may be more")) << text;
  EXPECT_FALSE(path_text("{}", "", kPlain).has_value());
}

TEST(PathOfAConflict, IsThatOfItsEntry) {
  const auto asked = path_of_conflict(
      R"({"namespace": "a.b", "_id": {"$oid": "0123456789abcdef01234567"}, "kind": "set_set",
        "path": "items.(1).qty"})");
  ASSERT_TRUE(asked.has_value());
  EXPECT_EQ(asked->ns, "a.b");
  EXPECT_EQ(asked->id, R"({"$oid":"0123456789abcdef01234567"})");
  EXPECT_EQ(asked->path, "items.(1).qty");
  const auto of_kept =
      path_of_conflict(R"({"namespace": "a.b", "_id": 1, "kind": "kept", "path": "email_1"})");
  EXPECT_EQ(of_kept->path, "") << "the name of an index";
  const auto of_record =
      path_of_conflict(R"({"namespace": "", "_id": "ab/7", "kind": "quarantined", "path": ""})");
  ASSERT_FALSE(of_record.has_value());
  EXPECT_EQ(of_record.error().code, ErrorCode::kRefused);
  EXPECT_EQ(path_of_conflict("{}").error().code, ErrorCode::kCorrupt);
}

TEST(PathText, NamesTheTwoWritesOfWhatLostAlsoWhenTheyAreForgotten) {
  const std::string text = *path_text(
      R"({"events": [], "conflicts": [{"path": "a", "lost": "x", "reason": "why", "state": "auto",
        "name": "1-2", "lost_stamp": "2026-11-22T19:19:00.633Z@5786…/4f…", "lost_app": "till",
        "won_stamp": "2026-11-22T19:19:00.641Z@bf2e…/7c…"}], "whole": true})",
      status(), kPlain);
  EXPECT_TRUE(has(text,
                  "  it was written 2026-11-22T19:19:00.633Z at oslo, app 'till'; what beat "
                  "it, 2026-11-22T19:19:00.641Z at paris\n"))
      << text;
}

TEST(ConflictText, NamesTheRuleThatDecided) {
  const std::string text = *conflict_text(
      R"({"name": "01-ab", "rule": "max", )" + std::string(kOverwritten + 1), status(), kPlain);
  EXPECT_TRUE(has(text, "rule      max (set_set): the later stamp stands\n")) << text;
}

TEST(Ids, AreJsonHoweverTheyAreTyped) {
  EXPECT_EQ(id_json("7"), "7");
  EXPECT_EQ(id_json("\"7\""), "\"7\"");
  EXPECT_EQ(id_json("Ada \"A\""), R"("Ada \"A\"")");
  EXPECT_EQ(id_json("0123456789ABCDEF01234567"), R"({"$oid":"0123456789abcdef01234567"})");
  EXPECT_EQ(id_json(R"({ "a" : 1 })"), R"({"a":1})");
  EXPECT_EQ(percent_coded("a.b \"ø"), "a%2Eb%20%22%C3%B8");
}

TEST(ConflictsText, SaysThatThereAreNone) { EXPECT_EQ(conflicts(""), "no conflicts\n"); }

TEST(Table, AlignsByCharactersAndLeavesNoBlanksAtTheEnd) {
  EXPECT_EQ(table({{{"A"}, {"B"}, {"C"}}, {{"Tromsø"}, {"x"}, {""}}}, kPlain),
            "A       B  C\nTromsø  x\n");
}

TEST(Quantities, ReadWell) {
  EXPECT_EQ(count(0), "0");
  EXPECT_EQ(count(-1234567), "-1,234,567");
  EXPECT_EQ(count(-123), "-123");
  EXPECT_EQ(bytes(1023), "1023 B");
  EXPECT_EQ(bytes(5 << 20), "5.0 MiB");
  EXPECT_EQ(duration(999), "999 ms");
  EXPECT_EQ(duration(90'000), "1 min");
  EXPECT_EQ(duration(86'400'000 * 3), "3 d");
}

}  // namespace
}  // namespace outrigger::ctl
