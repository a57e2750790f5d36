#include "replication/outbox/rocks/rocks_outbox.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>

#include <map>
#include <random>

#include "replication/outbox/rocks/rocks_outbox_testing.h"

namespace outrigger::outbox {
namespace {

const Origin kTheirs{{2}, UINT64_MAX};

class RocksOutboxTest : public testing::Test, protected OutboxFixture {
 protected:
  void SetUp() override { open(); }
  void write(Batch batch) {
    const Status written = outbox_->write(std::move(batch));
    ASSERT_TRUE(written) << written.error().message();
  }
  void put_entries(const Origin& origin, Hlc from, Hlc to) {
    for (Hlc hlc = from; hlc <= to; ++hlc)
      write(std::move(Batch().put_entry(origin, hlc, "12345")));
  }
  std::vector<Hlc> stamps(const Origin& origin, Hlc after, Hlc through, size_t bytes_max) {
    std::vector<Hlc> stamps;
    const auto entries = outbox_->read_entries(origin, after, through, bytes_max);
    for (const auto& [hlc, bytes] : entries.value()) stamps.push_back(hlc);
    return stamps;
  }
};

TEST_F(RocksOutboxTest, MakesItsDirectoryForItsUserOnly) {
  struct stat found;
  ASSERT_EQ(::stat(dir_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700u);
}

TEST_F(RocksOutboxTest, ABatchIsThereAtOnceAndAfterAKill) {
  write(std::move(Batch()
                      .put_prepare(5, "prepare")
                      .put_entry(kOurs, 5, "record")
                      .put_row("t.a", "id", "row")
                      .put_ledger("key", "lost")
                      .put_retry("retry", "reply")
                      .put_meta("vector", "v")));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(outbox_->scan_prepares().value(), (RocksOutbox::Entries{{5, "prepare"}}));
    EXPECT_EQ(outbox_->entry(kOurs, 5).value(), "record");
    EXPECT_EQ(outbox_->row("t.a", "id").value(), "row");
    EXPECT_EQ(outbox_->ledger("key").value(), "lost");
    EXPECT_EQ(outbox_->retry("retry").value(), "reply");
    EXPECT_EQ(outbox_->meta("vector").value(), "v");
    crash();
    open();
  }
}

TEST_F(RocksOutboxTest, ARecordComesWithTheEndOfItsPrepare) {
  write(std::move(Batch().put_prepare(5, "a").put_prepare(6, "b")));
  write(std::move(Batch().put_entry(kOurs, 5, "record").remove_prepare(5)));
  EXPECT_EQ(outbox_->scan_prepares().value(), (RocksOutbox::Entries{{6, "b"}}));
}

TEST_F(RocksOutboxTest, AbsentKeysAreNotErrors) {
  EXPECT_EQ(outbox_->entry(kOurs, 5).value(), std::nullopt);
  EXPECT_EQ(outbox_->row("t.a", "id").value(), std::nullopt);
  EXPECT_EQ(outbox_->last_entry(kOurs).value(), 0u);
  EXPECT_TRUE(outbox_->origins().value().empty());
}

TEST_F(RocksOutboxTest, ReadsStretchesOfOneOrigin) {
  put_entries(kOurs, 1, 9);
  put_entries(kTheirs, 4, 6);
  EXPECT_EQ(stamps(kOurs, 3, 6, 1000), (std::vector<Hlc>{4, 5, 6}));
  EXPECT_EQ(stamps(kTheirs, 0, kHlcMax, 1000), (std::vector<Hlc>{4, 5, 6}));
  EXPECT_EQ(stamps(kOurs, 0, kHlcMax, 10), (std::vector<Hlc>{1, 2}));
  EXPECT_EQ(stamps(kOurs, 0, kHlcMax, 1), (std::vector<Hlc>{1}));
  EXPECT_EQ(stamps(kOurs, 9, 9, 1000), (std::vector<Hlc>{}));
  EXPECT_EQ(stamps(kOurs, kHlcMax, kHlcMax, 1000), (std::vector<Hlc>{}));
}

TEST_F(RocksOutboxTest, KnowsItsOriginsAndTheirEnds) {
  put_entries(kOurs, 3, 9);
  put_entries(kTheirs, kHlcMax, kHlcMax - 1);
  write(std::move(Batch().put_entry(kTheirs, kHlcMax, "x")));
  EXPECT_EQ(outbox_->origins().value(), (std::vector<Origin>{kOurs, kTheirs}));
  EXPECT_EQ(outbox_->first_entry(kOurs).value(), 3u);
  EXPECT_EQ(outbox_->last_entry(kOurs).value(), 9u);
  EXPECT_EQ(outbox_->last_entry(kTheirs).value(), kHlcMax);
}

TEST_F(RocksOutboxTest, TheLedgerShowsTheNewestFirst) {
  for (uint64_t i = 1; i <= 300; ++i) write(std::move(Batch().put_ledger(sortable(i), "x")));
  const auto latest = outbox_->latest_ledger({.count = 2}).value();
  EXPECT_EQ(latest, (RocksOutbox::Pairs{{sortable(300), "x"}, {sortable(299), "x"}}));
}

TEST_F(RocksOutboxTest, ThePagesOfTheLedgerEndByCountAndBytes) {
  for (const std::string key : {"a", "b", "c"})
    write(std::move(Batch().put_ledger(sortable(5) + key, "xx")));
  write(std::move(Batch().put_ledger(sortable(6), "xx").put_ledger(sortable(4), "xx")));
  const auto keys = [&](const LedgerRange& range) {
    std::vector<std::string> found;
    const auto pairs = outbox_->latest_ledger(range).value();
    for (const auto& [key, bytes] : pairs) found.push_back(key);
    return found;
  };
  using Keys = std::vector<std::string>;
  EXPECT_EQ(keys({.through = 5, .count = 1}), Keys{sortable(5) + "c"});
  EXPECT_EQ(keys({.through = 5, .skip = 2, .count = 2}), (Keys{sortable(5) + "a", sortable(4)}));
  EXPECT_EQ(keys({.bytes_max = 5}), (Keys{sortable(6), sortable(5) + "c"}));
  EXPECT_EQ(keys({.bytes_max = 1}), Keys{sortable(6)});
  EXPECT_EQ(keys({.through = 3}), Keys{});
  const auto oldest = outbox_->oldest_ledger(sortable(4) + '\0', 10, 5).value();
  ASSERT_EQ(oldest.size(), 2u);
  EXPECT_EQ(oldest.front().first, sortable(5) + "a");
  EXPECT_EQ(outbox_->first_ledger_key(sortable(5) + "d").value(), sortable(6));
  EXPECT_EQ(outbox_->first_ledger_key(sortable(7)).value(), std::nullopt);
}

TEST_F(RocksOutboxTest, HowMuchIsInTheLedgerIsKnownExactlyAlsoAfterACrash) {
  const auto expect = [&](uint64_t entries, uint64_t bytes) {
    EXPECT_EQ(outbox_->usage().ledger, entries);
    EXPECT_EQ(outbox_->usage().ledger_bytes, bytes);
  };
  write(std::move(Batch().put_ledger("1", "x").put_ledger("1", "xxxx").put_ledger("2", "x")));
  expect(2, 7);
  write(std::move(Batch().put_ledger("1", "xx").remove_ledger("2").remove_ledger("never")));
  expect(1, 3);
  crash();
  open();
  expect(1, 3);
  close_and_open();
  expect(1, 3);
  EXPECT_EQ(outbox_->usage().entries, 0u);
}

TEST_F(RocksOutboxTest, ScansOfMetaSeeOnlyTheirPrefixAndNeverTheFormat) {
  write(std::move(Batch().put_meta("ack/oslo", "1").put_meta("ack/rome", "2").put_meta("b", "3")));
  EXPECT_EQ(outbox_->scan_meta("ack/").value(),
            (RocksOutbox::Pairs{{"ack/oslo", "1"}, {"ack/rome", "2"}}));
  EXPECT_EQ(outbox_->scan_meta("").value().size(), 3u);
}

TEST_F(RocksOutboxTest, AScanOfRowsStopsAndGoesOn) {
  Batch batch;
  for (uint64_t i = 0; i < 10; ++i) batch.put_row(i < 5 ? "t.a" : "t.b", sortable(i), "row");
  write(std::move(batch));
  std::string cursor;
  std::vector<std::pair<std::string, std::string>> seen;
  int calls = 0;
  do {
    cursor = outbox_
                 ->scan_rows(cursor, 3,
                             [&](std::string_view ns, std::string_view id, std::string_view) {
                               seen.emplace_back(ns, id);
                             })
                 .value();
    ++calls;
  } while (!cursor.empty());
  EXPECT_EQ(calls, 4);
  ASSERT_EQ(seen.size(), 10u);
  EXPECT_EQ(seen.front(), std::make_pair(std::string("t.a"), sortable(0)));
  EXPECT_EQ(seen.back(), std::make_pair(std::string("t.b"), sortable(9)));
}

TEST_F(RocksOutboxTest, CountsWhatItKeepsAlsoAfterAReopen) {
  put_entries(kOurs, 1, 100);
  Batch removal;
  for (Hlc hlc = 1; hlc <= 20; ++hlc) removal.remove_entry(kOurs, hlc);
  for (Hlc hlc = 21; hlc <= 40; ++hlc) removal.remove_read_entry(kOurs, hlc, 5);
  removal.remove_entry(kOurs, 4000);  // not there
  write(std::move(removal));
  write(std::move(Batch().put_entry(kOurs, 50, "1234567").put_entry(kOurs, 50, "abcde")));
  for (int round = 0; round < 2; ++round) {
    const Usage usage = outbox_->usage();
    EXPECT_EQ(usage.entries, 60u);
    EXPECT_EQ(usage.entries_bytes, 300u);
    crash();
    open();
  }
}

TEST_F(RocksOutboxTest, FreshEntriesCountLikeOthers) {
  write(std::move(Batch().put_fresh_entry(kOurs, 1, "12345").put_entry(kOurs, 2, "123")));
  EXPECT_EQ(outbox_->usage().entries, 2u);
  EXPECT_EQ(outbox_->usage().entries_bytes, 8u);
}

TEST_F(RocksOutboxTest, TheQuotaRefusesNewWritesButNotTheirSettling) {
  close();
  options_.bytes_max = 12;
  open();
  put_entries(kOurs, 1, 2);
  EXPECT_TRUE(outbox_->admit());
  put_entries(kOurs, 3, 3);
  ASSERT_FALSE(outbox_->admit());
  EXPECT_EQ(outbox_->admit().error().code, ErrorCode::kNoSpace);
  put_entries(kOurs, 4, 4);
  write(std::move(Batch().remove_entry(kOurs, 1).remove_entry(kOurs, 2)));
  EXPECT_TRUE(outbox_->admit());
}

TEST_F(RocksOutboxTest, OpeningAgainKeepsWhatWasWritten) {
  put_entries(kOurs, 1, 3);
  ASSERT_TRUE(outbox_->sync());
  close_and_open();
  EXPECT_EQ(outbox_->last_entry(kOurs).value(), 3u);
  put_entries(kOurs, 4, 4);
  EXPECT_EQ(outbox_->last_entry(kOurs).value(), 4u);
}

// Against a map that does the same, closed and crashed in between.
class Model : private OutboxFixture {
 public:
  explicit Model(uint32_t seed) : random_(seed) { open_or_fail(); }

  void step() {
    switch (random_() % 12) {
      case 0:
        close();
        open_or_fail();
        break;
      case 1:
        crash();
        open_or_fail();
        break;
      default:
        change();
    }
    compare();
  }

 private:
  void open_or_fail() {
    auto opened = try_open();
    if (!opened) RC_FAIL(opened.error().message());
    outbox_ = std::move(*opened);
  }

  void change() {
    Batch batch;
    for (size_t i = 1 + random_() % 5; i > 0; --i) {
      const Hlc hlc = 1 + random_() % 20;
      const Origin& origin = random_() % 2 ? kOurs : kTheirs;
      const std::string key = std::string("k") + std::to_string(hlc);
      const std::string bytes(random_() % 300, 'b');
      const bool remove = random_() % 3 == 0;
      switch (random_() % 3) {
        case 0:
          remove ? batch.remove_entry(origin, hlc) : batch.put_entry(origin, hlc, bytes);
          apply(entries_[origin], hlc, bytes, remove);
          break;
        case 1:
          remove ? batch.remove_row("t.a", key) : batch.put_row("t.a", key, bytes);
          apply(rows_, key, bytes, remove);
          break;
        default:
          remove ? batch.remove_prepare(hlc) : batch.put_prepare(hlc, bytes);
          apply(prepares_, hlc, bytes, remove);
      }
    }
    RC_ASSERT(outbox_->write(std::move(batch)).has_value());
  }

  template <typename Map, typename Key>
  static void apply(Map& map, const Key& key, const std::string& bytes, bool remove) {
    if (remove) {
      map.erase(key);
    } else {
      map[key] = bytes;
    }
  }

  void compare() {
    for (auto& [origin, expected] : entries_) {
      const auto got = outbox_->read_entries(origin, 0, kHlcMax, SIZE_MAX).value();
      RC_ASSERT(got == RocksOutbox::Entries(expected.begin(), expected.end()));
      RC_ASSERT(outbox_->last_entry(origin).value() ==
                (expected.empty() ? 0 : expected.rbegin()->first));
    }
    size_t entries = 0;
    for (const auto& [origin, expected] : entries_) entries += expected.size();
    RC_ASSERT(outbox_->usage().entries == entries);
    RC_ASSERT(outbox_->scan_prepares().value() ==
              RocksOutbox::Entries(prepares_.begin(), prepares_.end()));
    std::map<std::string, std::string> rows;
    const auto visit = [&](std::string_view, std::string_view id, std::string_view bytes) {
      rows.emplace(id, bytes);
    };
    RC_ASSERT(outbox_->scan_rows("", SIZE_MAX, visit).has_value());
    RC_ASSERT(rows == rows_);
  }

  std::mt19937 random_;
  std::map<Origin, std::map<Hlc, std::string>> entries_;
  std::map<Hlc, std::string> prepares_;
  std::map<std::string, std::string> rows_;
};

RC_GTEST_PROP(RocksOutboxProperty, HoldsWhatANaiveMapHolds, (uint32_t seed)) {
  if (seed % 10 != 0) return;  // opening costs: a tenth of the runs, longer each
  Model model(seed);
  for (int i = 0; i < 40; ++i) model.step();
}

}  // namespace
}  // namespace outrigger::outbox
