// A site whose mongod dies and comes back with what its journal held, for tests of redo.h.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {

class RedoTest : public ::testing::Test {
 protected:
  explicit RedoTest(StoreKind kind = StoreKind::kStandalone)
      : paris_("paris", {"oslo", "paris"}, memory_outbox(), kind),
        oslo_("oslo", {"oslo", "paris"}, memory_outbox(), kind) {
    paris_.insert(1, {{"a", number(1)}, {"n", number(10)}});
    exchange(paris_, oslo_);
  }

  using Documents = std::map<int, std::string>;
  static constexpr int kIdsMax = 6;

  // What mongod's journal holds, to be gone back to.
  [[nodiscard]] Documents documents() const {
    Documents all;
    for (int id = 1; id <= kIdsMax; ++id) {
      if (auto document = paris_.document(id)) all.emplace(id, std::move(*document));
    }
    return all;
  }
  // Mongod dies, and another run of it holds just this.
  void come_back_with(const Documents& journaled) {
    for (int id = 1; id <= kIdsMax; ++id) paris_.mongod.remove(kTestNs, bson::make_int32(id));
    for (const auto& [id, document] : journaled) paris_.mongod.put(kTestNs, document);
    StoreInfo info = *paris_.mongod.info();
    info.process_id = "process-" + std::to_string(1000 + ++starts_);
    paris_.mongod.set_info(info);
  }
  void put_back() {
    auto done = paris_.recovery->put_back_step(paris_.mongod, true);
    ASSERT_TRUE(done.has_value()) << done.error().message();
    EXPECT_TRUE(*done);
  }
  void expect(const Documents& wanted) {
    const Documents found = documents();
    for (int id = 1; id <= kIdsMax; ++id) {
      ASSERT_EQ(found.count(id), wanted.count(id)) << id;
      if (wanted.count(id) == 0) continue;
      EXPECT_TRUE(
          bson::equal_unordered(bson::Document(found.at(id)), bson::Document(wanted.at(id))))
          << bson::to_json(bson::Document(found.at(id))) << " in place of "
          << bson::to_json(bson::Document(wanted.at(id)));
    }
  }
  // `writes` are answered, and forgotten; then they are there again, here as at the peer.
  void expect_put_back(const std::function<void()>& writes) {
    const Documents journaled = documents();
    writes();
    const Documents answered = documents();
    come_back_with(journaled);
    put_back();
    expect(answered);
    settle_down({&paris_, &oslo_});
    expect(answered);
    for (int id = 1; id <= kIdsMax; ++id) EXPECT_EQ(paris_.show(id), oslo_.show(id));
  }

  TestSite paris_;
  TestSite oslo_;
  int starts_ = 0;
};

}  // namespace outrigger
