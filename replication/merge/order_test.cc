// Concurrent records may arrive in any order that causality allows; the document is the same.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

struct Op {
  uint8_t site, what, path;
  int8_t value;
};

class AnyOrder : public MergeTest {
 public:
  void TestBody() override {}
  void write(const Op& op) {
    static const std::vector<std::string> kPaths = {"a", "c", "c.x", "n", "c.n", "c.d.x"};
    WorldSite& site = *all_[op.site % all_.size()];
    if (!site.store.contains(id_)) return upsert(site, {{"a", i32(op.value)}}, {{"n", i32(1)}});
    const std::string& path = kPaths[op.path % kPaths.size()];
    const Found now = find_path(stored(site), path_of(path));
    if (now.what == Found::kBlocked) return;
    const bool number = now.what == Found::kMissing || now.value.is_number();
    switch (op.what % 8) {
      case 0:
        return op.path % 3 == 0 ? remove(site) : set(site, path, text("s"));
      case 1:
        return replace(site, {{"a", i32(op.value)}, {"c", doc({{"x", i32(1)}})}});
      case 2:
        return now.what == Found::kValue ? unset(site, path) : void();
      case 3:
        return set(site, path, doc({{"x", i32(op.value)}}));
      case 4:
        return set(site, path, i32(op.value));
      default:
        return number ? inc(site, path, op.value) : void();
    }
  }
  void meet() { exchange(); }
  // All records at a fresh site, in an order the choices decide among those causality allows.
  std::string arrive(const std::vector<uint8_t>& choices) {
    WorldSite observer('O', 4, 0);
    for (size_t step = 0;; ++step) {
      std::vector<Published> next;
      for (const WorldSite* site : all_) {
        for (const auto& [origin, records] : site->log) {
          for (const Published& p : records) {
            const bool is_new = p.record->hlc > observer.vector.get(origin);
            if (is_new && observer.deliverable(p)) next.push_back(p);
          }
        }
      }
      if (next.empty()) break;
      observer.receive(next[(choices.empty() ? 0 : choices[step % choices.size()]) % next.size()]);
    }
    return std::string(stored(observer).bytes());
  }
};

RC_GTEST_PROP(Order, OfArrivalDoesNotMatter,
              (const std::vector<std::tuple<uint8_t, uint8_t, uint8_t, int8_t>>& before,
               const std::vector<std::tuple<uint8_t, uint8_t, uint8_t, int8_t>>& after,
               const std::vector<uint8_t>& one, const std::vector<uint8_t>& two)) {
  AnyOrder sites;
  auto write_all = [&](const auto& ops) {
    size_t left = 12;
    for (const auto& [site, what, path, value] : ops) {
      if (left-- == 0) break;
      sites.write({site, what, path, value});
    }
  };
  write_all(before);
  sites.meet();
  write_all(after);
  const std::string late = sites.arrive(one);
  RC_ASSERT(bson::equal_unordered(bson::Document(late), bson::Document(sites.arrive(two))));
}

}  // namespace
}  // namespace outrigger::merge
