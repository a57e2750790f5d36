// What the capture must know of a collection before it writes to it: is it one at all, is it
// capped, does it compare strings by a collation of its own. Asked of the store once and kept for a
// while; commands that change the catalogue through the proxy make it forget at once. Somebody may
// change it behind the proxy: a collection made anew has another uuid, which writes are sent with.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "config/clock.h"
#include "proxy/mongo/store_worker.h"

namespace outrigger {

class Facts {
 public:
  Facts(StoreWorker& worker, const Clock& clock) : worker_(worker), clock_(clock) {}

  // The cached facts, or nullptr when the store must be asked (`learn`).
  [[nodiscard]] const CollectionInfo* known(const std::string& ns) const;
  // Asks the store. The result is kept.
  net::Task<Result<CollectionInfo>> learn(std::string ns);
  void forget(const std::string& ns);
  void forget_all();
  // A write found or made a collection: if there was none, there is one now.
  void made(const std::string& ns);
  // Grows when what is known of `ns` was forgotten, and now and then without that.
  [[nodiscard]] uint64_t forgotten(const std::string& ns) const;

 private:
  static constexpr int64_t kKeepUs = 30'000'000;
  static constexpr int64_t kKeepNoneUs = 1'000'000;  // that there is no collection
  static constexpr size_t kNamespacesMax = 10'000;
  struct Entry {
    CollectionInfo info;
    int64_t learned_us = 0;
  };
  StoreWorker& worker_;
  const Clock& clock_;
  std::unordered_map<std::string, Entry> known_;
  std::array<uint64_t, 256> forgotten_{};  // by hash of the namespace
};

}  // namespace outrigger
