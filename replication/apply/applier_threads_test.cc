// Local writers on several threads beside a running applier, for ThreadSanitizer: no RocksDB here.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "replication/testing/lock_table_testing.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

constexpr int kDocuments = 4;
constexpr int kWritesEach = 150;

// As the proxy does it, but on a thread that may block on the lock.
void increment(TestSite& site, int id) {
  DocumentChange change = TestSite::incrementing(id, "n", 1);
  LockRequest lock;
  lock.add(namespace_lock_key(change.ns), LockMode::kShared);
  lock.add(document_lock_key(change.ns, change.id.view()), LockMode::kExclusive);
  acquire_blocking(site.locks, lock);
  Prepare prepare;
  prepare.documents.push_back({change.ns,
                               change.id,
                               PreparedDocument::What::kUpdate,
                               {{Operation::kIncrement, {"n"}, bson::make_int32(1)}},
                               false,
                               "",
                               Removal::kPlain,
                               false,
                               {}});
  auto write = site.replica->begin(std::move(prepare));
  ASSERT_TRUE(write.has_value());
  const auto before = site.mongod.document(change.ns, change.id);
  ASSERT_TRUE(before.has_value());
  const int32_t now = bson::Document(*before).find("n")->as_int32();
  change.changes[0].base_known = true;
  change.changes[0].base = bson::make_int32(now);
  bson::Writer writer;
  site.mongod.put(change.ns, writer.int32("_id", id).int32("n", now + 1).finish());
  ASSERT_TRUE(site.replica->settle(*write, {change}, {}).has_value());
  site.locks.release(lock);
}

// Moves segments and reports from one site to the other until told to stop.
void carry(TestSite& from, TestSite& to, const std::atomic<bool>& stop) {
  const Link link(from, to);
  while (!stop) {
    auto segments = read_segments(*from.replica, to.replica->applied(), 64 * 1024);
    // Between the two readings the other may have applied more, said so, and this one let it go.
    if (!segments) continue;
    (void)to.replica->offer(std::move(*segments), run_of(from));
    for (const Report& report : from.replica->reports()) to.replica->hear(report, run_of(from));
    std::this_thread::yield();
  }
}

TEST(ApplierThreads, NoIncrementIsLostBetweenWritersAppliersAndCollection) {
  const std::vector<std::string> two{"oslo", "paris"};
  TestSite paris("paris", two, memory_outbox());
  TestSite oslo("oslo", two, memory_outbox());
  for (int id = 0; id < kDocuments; ++id) paris.insert(id, {{"n", bson::make_int32(0)}});
  exchange(paris, oslo);
  for (TestSite* site : {&paris, &oslo}) {
    site->kill();
    site->applier_options.collect_every = std::chrono::milliseconds(5);
    site->open();
    ASSERT_TRUE(site->recover().has_value());
    site->applier->start();
  }
  std::atomic<bool> stop = false;
  std::vector<std::thread> carriers;
  carriers.emplace_back([&] { carry(paris, oslo, stop); });
  carriers.emplace_back([&] { carry(oslo, paris, stop); });
  std::vector<std::thread> writers;
  for (TestSite* site : {&paris, &paris, &oslo, &oslo}) {
    writers.emplace_back([site] {
      for (int i = 0; i < kWritesEach; ++i) increment(*site, i % kDocuments);
    });
  }
  for (std::thread& writer : writers) writer.join();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  // All is written; once it is published at both, equal vectors are the last ones.
  const auto published = [](TestSite& site) {
    const auto hello = site.replica->hello();
    return site.status().open_writes == 0 &&
           site.replica->applied().get(Origin{hello.site_id, hello.epoch}) == site.status().issued;
  };
  while (!(published(paris) && published(oslo) &&
           paris.replica->applied() == oslo.replica->applied()) &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  stop = true;
  for (std::thread& carrier : carriers) carrier.join();
  paris.applier->stop();
  oslo.applier->stop();
  int64_t sum = 0;
  for (int id = 0; id < kDocuments; ++id) {
    EXPECT_EQ(paris.number(id, "n"), oslo.number(id, "n"));
    sum += paris.number(id, "n");
  }
  EXPECT_EQ(sum, 4 * kWritesEach);
  settle_down({&paris, &oslo});
  EXPECT_EQ(paris.status().rows, 0u);
}

}  // namespace
}  // namespace outrigger
