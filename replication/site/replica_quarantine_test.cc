// What a member that is not well may send, and what becomes of it: one bad record is set aside
// alone, a made-up origin leaves no trace, and the site goes on, restarts included.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "config/limits.h"
#include "replication/link/message.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

bson::OwnedValue value_of(bson::Type type) {
  bson::Writer writer;
  switch (type) {
    case bson::Type::kArray:
      writer.open_array("v").close();
      break;
    case bson::Type::kRegex:
      return bson::OwnedValue(bson::Value{type, std::string_view("a.b\0ix\0", 7)});
    default:
      return bson::OwnedValue(bson::Value{type, {}});
  }
  const std::string bytes = writer.finish();
  return bson::OwnedValue(*bson::Document(bytes).find("v"));
}

struct Spoiled {
  const char* name;
  std::function<void(Record&)> how;
  const char* why;
};

std::function<void(Record&)> with_namespace(std::string ns) {
  return [ns = std::move(ns)](Record& record) { record.documents[0].ns = ns; };
}
std::function<void(Record&)> with_id(bson::Type type) {
  return [type](Record& record) { record.documents[0].id = value_of(type); };
}

Effect edit_of_nothing() {
  Effect effect;
  effect.kind = Operation::kEdit;
  effect.path = {"l"};
  return effect;
}

class QuarantineTest : public ::testing::Test {
 protected:
  QuarantineTest() {
    oslo_.kill();
    oslo_.replica_options.replicates = [this](std::string_view ns) {
      return !ns.starts_with("admin.") && !ns.starts_with("config.") && !ns.starts_with("local.") &&
             ns.find(".system.") == std::string_view::npos &&
             (ns != "shop.private" || private_replicates_);
    };
    oslo_.open();
    EXPECT_TRUE(oslo_.recover().has_value());
  }
  // Oslo gets three records of paris, the middle one spoiled.
  void send_spoiled(const std::function<void(Record&)>& how) {
    for (int i = 0; i < 3; ++i) {
      paris_.insert(next_id_ + i, {{"n", number(0)}});
      paris_.clock.advance_ms(1);
    }
    const Link link(paris_, oslo_);
    auto segments = read_segments(*paris_.replica, oslo_.replica->applied(), 1u << 20);
    ASSERT_TRUE(segments.has_value());
    ASSERT_THAT(segments->front().records, SizeIs(3));
    how(segments->front().records[1]);
    ASSERT_TRUE(oslo_.replica->offer(std::move(*segments), run_of(paris_)).has_value());
    oslo_.apply_all();
    EXPECT_NE(oslo_.show(next_id_), "none");
    EXPECT_EQ(oslo_.show(next_id_ + 1), "none");
    EXPECT_NE(oslo_.show(next_id_ + 2), "none") << "the rest goes on";
    next_id_ += 3;
  }
  std::string only_name() {
    const auto entries = oslo_.replica->quarantined(10);
    EXPECT_THAT(*entries, SizeIs(1));
    return std::string(entries->front().id.view().as_string());
  }

  bool private_replicates_ = false;
  int next_id_ = 1;
  const std::vector<std::string> names_{"oslo", "paris"};
  TestSite paris_{"paris", names_, memory_outbox()};
  TestSite oslo_{"oslo", names_, memory_outbox()};
};

TEST_F(QuarantineTest, OneBadRecordIsSetAsideAloneWithItsBytes) {
  SiteId stranger{};
  stranger.fill(0x77);
  const Origin nobody{stranger, 5};
  const std::vector<Spoiled> all = {
      {"no dot", with_namespace("things"), "no dot"},
      {"admin", with_namespace("admin.system.users"), "does not replicate"},
      {"config", with_namespace("config.settings"), "does not replicate"},
      {"local", with_namespace("local.x"), "does not replicate"},
      {"system", with_namespace("shop.system.js"), "does not replicate"},
      {"private", with_namespace("shop.private"), "does not replicate"},
      {"no database", with_namespace(".things"), "database"},
      {"a space", with_namespace("a b.things"), "database"},
      {"no collection", with_namespace("shop."), "collection"},
      {"too long", with_namespace("shop." + std::string(300, 'x')), "too long"},
      {"array", with_id(bson::Type::kArray), "array"},
      {"regex", with_id(bson::Type::kRegex), "regular"},
      {"undefined", with_id(bson::Type::kUndefined), "undefined"},
      {"operator",
       [](Record& r) {
         r.documents[0].id = bson::make_document(bson::Writer().int32("$x", 1).finish());
       },
       "begins with a '$'"},
      {"command", with_namespace("shop.$cmd"), "legal collection name"},
      {"edits",
       [](Record& r) {
         r.documents[0].effects = {edit_of_nothing(), edit_of_nothing()};
       },
       "an array twice"},
      {"later", [](Record& r) { r.deps.raise(r.origin, r.hlc + 5); }, "later stamp"},
      {"stranger", [&](Record& r) { r.deps.raise(nobody, 7); }, "no member"},
      {"present", [](Record& r) { r.retired.raise(r.origin, 1); }, "not an old epoch"},
      {"unseen",
       [](Record& r) {
         r.retired.raise(Origin{r.origin.site, r.origin.epoch ^ 1}, r.hlc - 1);
       },
       "does not depend"},
  };
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(all[i].name);
    send_spoiled(all[i].how);
    ASSERT_EQ(oslo_.status().quarantined, i + 1);
    const auto entries = oslo_.replica->quarantined(100);
    ASSERT_TRUE(entries.has_value());
    const auto found = std::find_if(entries->begin(), entries->end(), [&](const LedgerEntry& e) {
      return e.reason.find(all[i].why) != std::string::npos;
    });
    ASSERT_NE(found, entries->end());
    EXPECT_EQ(found->kind, "quarantined");
    EXPECT_FALSE(found->value.view().binary().empty());
  }
  oslo_.restart();
  EXPECT_EQ(oslo_.status().quarantined, all.size());
  paris_.insert(900, {{"n", number(1)}});
  pull(paris_, oslo_);
  EXPECT_EQ(oslo_.number(900, "n"), 1) << "it starts again and applies";
}

TEST_F(QuarantineTest, ACounterWithoutAStampIsSetAside) {
  paris_.insert(500, {{"n", number(0)}});
  exchange(paris_, oslo_);
  paris_.inc(500, "n", 1);
  auto segments = read_segments(*paris_.replica, oslo_.replica->applied(), 1u << 20);
  segments->front().records.front().documents[0].effects[0].entry.first.hlc = 0;
  const Link link(paris_, oslo_);
  ASSERT_TRUE(oslo_.replica->offer(std::move(*segments), run_of(paris_)).has_value());
  oslo_.apply_all();
  EXPECT_EQ(oslo_.status().quarantined, 1u);
  EXPECT_EQ(oslo_.number(500, "n"), 0);
}

TEST_F(QuarantineTest, ACounterWithBoundsThatAreNoneIsSetAside) {
  const auto counts_within = [this](const Bounds& bounds, Path path) {
    send_spoiled([&](Record& record) {
      Effect& effect = record.documents[0].effects.emplace_back();
      effect.kind = Operation::kIncrement;
      effect.path = std::move(path);
      effect.entry = {record.dot(), record.hlc, number(1), bounds};
    });
    return oslo_.replica->quarantined(10)->back().reason;  // the latest
  };
  for (const Bounds& bounds : {Bounds{2, 1}, Bounds{NAN, 1}, Bounds{0, NAN},
                               Bounds{-INFINITY, INFINITY}, Bounds{INFINITY, INFINITY}}) {
    EXPECT_THAT(counts_within(bounds, {"n"}), HasSubstr("bounds that are none"));
  }
  const Path inside = {"l", element_name({Dot(), 0}), "n"};
  EXPECT_THAT(counts_within({0, 1}, inside), HasSubstr("in an element has bounds"));
}

TEST_F(QuarantineTest, ARecordThatMayBeAppliedAfterAllIsTriedAgain) {
  send_spoiled(with_namespace("shop.private"));
  const std::string name = only_name();
  EXPECT_EQ(oslo_.replica->retry_quarantined("nothing").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(oslo_.replica->retry_quarantined(name).error().code, ErrorCode::kRefused);
  private_replicates_ = true;
  oslo_.restart();
  ASSERT_TRUE(oslo_.replica->retry_quarantined(name).has_value());
  oslo_.apply_all();
  EXPECT_TRUE(oslo_.mongod.document("shop.private", number(2)).has_value());
  EXPECT_EQ(oslo_.status().quarantined, 0u);
  oslo_.restart();
  EXPECT_EQ(oslo_.status().quarantined, 0u);
  EXPECT_THAT(oslo_.ledger(), IsEmpty());
}

TEST_F(QuarantineTest, ARecordThatEveryMemberHasPassedIsNotTriedAgain) {
  send_spoiled(with_namespace("shop.private"));
  const std::string name = only_name();
  private_replicates_ = true;
  oslo_.restart();
  settle_down({&paris_, &oslo_}, 4);
  const auto expect_refused = [&] {
    const Status refused = oslo_.replica->retry_quarantined(name);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
    EXPECT_THAT(refused.error().reason, HasSubstr("bring back deleted documents"));
  };
  expect_refused();
  oslo_.restart();
  expect_refused();
  oslo_.apply_all();
  EXPECT_FALSE(oslo_.mongod.document("shop.private", number(2)).has_value());
  EXPECT_EQ(oslo_.status().quarantined, 1u) << "it stays for people to see";
}

TEST_F(QuarantineTest, ThoseBehindInAChainGetTheRecordToo) {
  send_spoiled(with_namespace("shop.private"));
  auto segments = read_segments(*oslo_.replica, {}, 1u << 20);
  ASSERT_TRUE(segments.has_value());
  for (const Segment& segment : *segments) {
    if (segment.origin != run_of(paris_)) continue;
    EXPECT_THAT(segment.records, SizeIs(3));
  }
}

TEST_F(QuarantineTest, BeyondABoundTheStreamIsHeldAndNamed) {
  paris_.insert(1, {{"n", number(0)}});
  auto segments = read_segments(*paris_.replica, {}, 1u << 20);
  Segment& segment = segments->front();
  for (size_t i = 0; i <= limits::kQuarantinedMax; ++i) {
    Record bad = segment.records.front();
    bad.hlc = segment.records.back().hlc + 1;
    bad.documents[0].ns = "nodot";
    segment.records.push_back(bad);
  }
  segment.through = segment.records.back().hlc;
  const Link link(paris_, oslo_);
  ASSERT_TRUE(oslo_.replica->offer(std::move(*segments), run_of(paris_)).has_value());
  oslo_.apply_all();
  EXPECT_EQ(oslo_.status().quarantined, limits::kQuarantinedMax);
  ASSERT_THAT(oslo_.status().held, SizeIs(1));
  EXPECT_THAT(oslo_.status().held.front(), HasSubstr("set aside"));
}

class MadeUpOriginsTest : public QuarantineTest {
 protected:
  static size_t hello_bytes(const TestSite& site) {
    link::Hello hello;
    hello.site = site.replica->hello();
    return link::encode_hello(hello).size();
  }
  // 18,000 stretches, each of an origin of its own: too many for a hello.
  void send(const std::function<Origin(uint64_t)>& origin_of, bool with_records) {
    paris_.insert(1, {{"n", number(0)}});
    const auto made = read_segments(*paris_.replica, {}, 1u << 20);
    const Link link(paris_, oslo_);
    std::vector<Segment> segments;
    for (uint64_t i = 1; i <= 18'000; ++i) {
      Segment segment = made->front();
      segment.origin = origin_of(i);
      segment.records.front().origin = segment.origin;
      segment.records.front().deps = {};
      if (!with_records) segment.records.clear();
      segments.push_back(std::move(segment));
    }
    ASSERT_TRUE(oslo_.replica->offer(std::move(segments), run_of(paris_)).has_value());
    oslo_.apply_all();
  }
};

TEST_F(MadeUpOriginsTest, NoMembersRecordsAreNeitherStoredNorRelayed) {
  for (const bool with_records : {true, false}) {
    send(
        [](uint64_t i) {
          Origin origin{{}, 3};
          for (size_t byte = 0; byte < 8; ++byte) {
            origin.site[byte] = static_cast<uint8_t>(i >> (8 * byte));
          }
          return origin;
        },
        with_records);
    EXPECT_EQ(oslo_.status().outbox_records, 0u);
    EXPECT_EQ(oslo_.status().inbox_records, 0u);
    EXPECT_THAT(oslo_.status().alarms, SizeIs(1));
    EXPECT_TRUE(oslo_.replica->applied().empty());
    oslo_.restart();
    paris_.remove(1);
  }
  pull(paris_, oslo_);
  EXPECT_EQ(oslo_.replica->applied(), paris_.replica->applied());
}

TEST_F(MadeUpOriginsTest, EpochsOfAMemberAreBoundedSoThatEveryHelloFits) {
  const SiteId paris = run_of(paris_).site;
  send([&](uint64_t i) { return Origin{paris, i}; }, true);
  EXPECT_LE(oslo_.replica->applied().entries().size(), oslo_.replica_options.origins_max);
  EXPECT_LT(hello_bytes(oslo_), size_t{512} * 1024);
  oslo_.restart();
  EXPECT_LT(hello_bytes(oslo_), size_t{512} * 1024);
}

TEST_F(MadeUpOriginsTest, AReportOfMadeUpOriginsIsNotKept) {
  const Link link(paris_, oslo_);
  Report report = paris_.replica->report();
  for (uint8_t i = 1; i < 200; ++i) report.vector.raise(Origin{{i}, 1}, 5);
  report.serial += 1000;
  oslo_.replica->hear(report, run_of(paris_));
  EXPECT_THAT(oslo_.status().alarms, SizeIs(1));
  for (const Report& relayed : oslo_.replica->reports()) {
    EXPECT_LT(relayed.vector.entries().size(), 10u);
  }
}

TEST_F(MadeUpOriginsTest, AStrangersNameIsTakenFromAPeerButNotAKnownSitesOwn) {
  SiteId forged{};
  forged.fill(9);
  const Link link(paris_, oslo_);
  oslo_.replica->hear_members({{"paris", forged}, {"bergen", forged}, {"oslo", forged}});
  EXPECT_THAT(oslo_.replica->members(), SizeIs(1));
  EXPECT_EQ(oslo_.replica->members().front().id, run_of(paris_).site);
}

}  // namespace
}  // namespace outrigger
