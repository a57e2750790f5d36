// What the capture must know of a collection before it writes to it: is it one at all, is it
// capped, does it compare strings by a collation of its own. Asked of the store once and kept for a
// while; commands that change the catalogue through the proxy make it forget at once. Somebody may
// change it behind the proxy: a collection made anew has another uuid, which writes are sent with.
//
// Each loop keeps facts of its own, which need no lock; that they do not hold any more is one thing
// for all loops: a count that grows, and that whatever was learned before it grew is not taken for
// known.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "config/clock.h"
#include "proxy/mongo/store_worker.h"

namespace outrigger {

// What became of the catalogue, as counts by hash of the namespace: a change is never missed, and
// now and then one is seen where there was none. Thread-safe.
class CatalogueChanges {
 public:
  struct Seen {
    uint64_t forgotten = 0;
    uint64_t made = 0;
  };
  void forget(const std::string& ns) { ++counts_[place_of(ns)].forgotten; }
  void forget_all();
  void made(const std::string& ns) { ++counts_[place_of(ns)].made; }
  [[nodiscard]] Seen seen(const std::string& ns) const;
  // Grows with each forget, of whichever namespace.
  [[nodiscard]] uint64_t forgotten() const;

 private:
  struct Counts {
    std::atomic<uint64_t> forgotten{0};
    std::atomic<uint64_t> made{0};
  };
  static constexpr size_t kPlaces = 256;
  static size_t place_of(const std::string& ns) { return std::hash<std::string>()(ns) % kPlaces; }

  std::array<Counts, kPlaces> counts_;
};

// Of the loop's thread.
class Facts {
 public:
  // All of it outlives this.
  Facts(CatalogueChanges& changes, StoreAsker store, const Clock& clock)
      : changes_(changes), store_(store), clock_(clock) {}

  // The cached facts, or nullptr when the store must be asked (`learn`).
  [[nodiscard]] const CollectionInfo* known(const std::string& ns) const;
  // Asks the store. The result is kept.
  net::Task<Result<CollectionInfo>> learn(std::string ns);
  // On every loop, before this returns.
  void forget(const std::string& ns) { changes_.forget(ns); }
  // A write found or made a collection: if there was none, there is one now.
  void made(const std::string& ns);
  // Grows when what is known of `ns` was forgotten, and now and then without that.
  [[nodiscard]] uint64_t forgotten(const std::string& ns) const {
    return changes_.seen(ns).forgotten;
  }

 private:
  static constexpr int64_t kKeepUs = 30'000'000;
  static constexpr int64_t kKeepNoneUs = 1'000'000;  // that there is no collection
  static constexpr size_t kNamespacesMax = 10'000;
  struct Entry {
    CollectionInfo info;
    int64_t learned_us = 0;
    CatalogueChanges::Seen before;  // the store was asked
  };
  CatalogueChanges& changes_;
  const StoreAsker store_;
  const Clock& clock_;
  std::unordered_map<std::string, Entry> known_;
};

}  // namespace outrigger
