// Locks on documents and namespaces inside the sidecar, so that the order of an origin's log is,
// per document, the order of commits in the store. Event loops must not block, so a lock that is
// not free is granted later, by a callback from whichever thread released it.
//
// A request names all its keys at once. They are taken one by one in ascending order of key, first
// come first served at each, so requests cannot deadlock with one another; nobody barges past a
// waiter, so none starves. A request that holds some keys and wants more (an app's transaction)
// must use a second request with try_acquire, or acquire and cancel after a few milliseconds.
//
// A transaction may stay open for a minute, and nobody but those who want its documents may wait
// for it. So what it holds is held long: a request that has to wait at such a key gives back what
// it has and stands aside, in its place in the line. It is given the key when its turn comes, and
// takes those before it if all of them are free; otherwise it begins again.
//
// Keys are 64-bit hashes: two documents that share one merely share a lock.
//
// The table also tells who asked the store about a document before it had its lock whether the
// answer still stands: every holder that may have changed something leaves the number of its
// release with the key. Keys share the places where these numbers are kept, so the memory is fixed
// and a change is never missed; now and then one is seen where there was none, and somebody asks
// again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/thread_annotations.h"
#include "replication/bson/bson.h"

namespace outrigger {

enum class LockMode : uint8_t { kShared, kExclusive };

struct LockKey {
  uint64_t hash = 0;
  LockMode mode = LockMode::kExclusive;
};

// What a holder did while it held: what others that asked before must know.
enum class Left : uint8_t {
  kNothing,  // no document is other than it was
  kRemoved,  // documents are gone, none came or changed: what matched nothing still does
  kWritten,
};

// Values MongoDB's _id index holds equal (1, 1.0, NumberLong(1)) give the same key.
[[nodiscard]] uint64_t document_lock_key(std::string_view ns, const bson::Value& id);
// The same from bson::canonical_key(id), for callers who have it.
[[nodiscard]] uint64_t document_lock_key(std::string_view ns, std::string_view canonical_id);
[[nodiscard]] uint64_t namespace_lock_key(std::string_view ns);

// The keys of one acquisition and how far it got. Stays where it is (the table points to it) from
// acquire until release, or until cancel said true; destroying it earlier is an error (asserted).
class LockRequest {
 public:
  LockRequest() = default;
  explicit LockRequest(std::vector<LockKey> keys);
  ~LockRequest();
  LockRequest(const LockRequest&) = delete;
  LockRequest& operator=(const LockRequest&) = delete;

  // Only while nothing is held or waited for.
  void add(uint64_t hash, LockMode mode);
  void clear();

  [[nodiscard]] bool held() const { return state_.load(std::memory_order_acquire) == kHeld; }
  [[nodiscard]] bool empty() const { return keys_.empty(); }
  // Of one that is held or waits: each once, with the stronger mode.
  [[nodiscard]] const std::vector<LockKey>& keys() const { return keys_; }

 private:
  friend class LockTable;
  enum State : uint8_t { kIdle, kWaiting, kHeld };

  void sort();
  [[nodiscard]] std::vector<LockKey> first_keys(size_t count) const;

  std::vector<LockKey> keys_;  // after sort(): ascending, one each, the stronger mode
  std::atomic<uint8_t> state_{kIdle};
  std::atomic<size_t> next_{0};    // keys_[0, next_) are held
  std::function<void()> granted_;  // while kWaiting
  // Both under the mutex of that shard, or of whoever took it out of there.
  LockRequest* next_waiter_ = nullptr;  // in the queue of keys_[next_]
  bool is_aside_ = false;               // and none of the keys before that one is held
  bool is_long_ = false;                // of one that is held
};

// Thread-safe.
class LockTable {
 public:
  LockTable();
  ~LockTable();  // nothing may be held

  // True: held now, and `granted` is not called. False: `granted` is called exactly once, when all
  // keys are held, from the thread that released the last of them, with no lock of the table held.
  // It should only hand over to its own thread. It may run before acquire has returned.
  [[nodiscard]] bool acquire(LockRequest& request, std::function<void()> granted);
  // All keys or none; never waits, and fails rather than pass a waiter.
  [[nodiscard]] bool try_acquire(LockRequest& request);
  // Gives up waiting. True: nothing is held any more and `granted` will not be called. False: the
  // request was granted already (its callback has run or is about to).
  [[nodiscard]] bool cancel(LockRequest& request);
  // Of a held request: its keys are held long from now on, until they are released. Once.
  void hold_long(LockRequest& request);
  // Of a held request; it may then be used again. Calls back those who waited for it. HeldLocks
  // does so by itself.
  void release(LockRequest& request, Left left = Left::kWritten);

  // A point in time, for the two below. Taken before the question is sent to the store.
  [[nodiscard]] uint64_t now() const { return releases_.load(std::memory_order_acquire); }
  // Whether a holder that held the key exclusively has changed something since, for one who holds
  // the key now. Of a document's key: the document. Of a namespace's: any document in it.
  [[nodiscard]] bool changed_since(uint64_t hash, uint64_t then) const;
  // Whether a holder, a shared one included, has written since. Of a namespace's key: whether any
  // document in it came or changed.
  [[nodiscard]] bool written_since(uint64_t hash, uint64_t then) const;

  // Keys held or waited for, for metrics; a snapshot.
  [[nodiscard]] size_t size() const;

 private:
  static constexpr size_t kShards = 64;
  struct Lock {
    uint32_t shared = 0;     // holders
    uint32_t held_long = 0;  // holders, of either kind
    bool exclusive = false;
    LockRequest* first = nullptr;  // waiters, oldest first
    LockRequest* last = nullptr;
  };
  // Numbers of the last releases of the keys that share this place.
  struct Trace {
    uint64_t changed = 0;  // by an exclusive holder
    uint64_t written = 0;  // by any
  };
  static constexpr size_t kTraces = 1024;  // a shard
  struct alignas(64) Shard {
    mutable Mutex mutex;
    std::unordered_map<uint64_t, Lock> locks GUARDED_BY(mutex);  // only keys held or waited for
    std::array<Trace, kTraces> traces GUARDED_BY(mutex);
  };
  struct Release {
    Left left = Left::kNothing;
    uint64_t number = 0;
    bool was_long = false;
  };

  // Requests that were given the key at next_, in order, linked by next_waiter_.
  struct Granted {
    LockRequest* first = nullptr;
    LockRequest* last = nullptr;
    void append(LockRequest* request);
    [[nodiscard]] LockRequest* take_first();
    void append(const Granted& more);
  };

  Shard& shard_of(uint64_t hash) const;
  [[nodiscard]] Trace trace_of(uint64_t hash) const;
  static Trace& trace_in(Shard& shard, uint64_t hash) REQUIRES(shard.mutex);
  static bool free_for(const Lock& lock, LockMode mode);
  static void take(Lock& lock, LockMode mode);
  static void enqueue(Lock& lock, LockRequest& request);
  static bool unqueue(Lock& lock, LockRequest& request);
  static Granted grant_waiters(Lock& lock);
  Granted unlock(const LockKey& key, const Release& release);
  bool advance(LockRequest& request, Granted& others);
  bool try_first(LockRequest& request, size_t count, Granted& others);
  Granted give_back(const std::vector<LockKey>& keys);
  void resume(Granted granted);
  void unlock_first(LockRequest& request, size_t count, const Release& release);

  std::unique_ptr<Shard[]> shards_;
  std::atomic<uint64_t> releases_{0};
};

// Locks as something one has: what holds them, or stands in line for them, gives them back when it
// ends. So no way out of a function forgets them, be it an error's or one added later. Used by one
// thread at a time.
class HeldLocks {
 public:
  HeldLocks() = default;  // of nothing
  // What `request` has in `table`, held or waited for. Both outlive this.
  HeldLocks(LockTable& table, LockRequest& request) : table_(&table), request_(&request) {}
  // The same; the request goes with it.
  HeldLocks(LockTable& table, std::unique_ptr<LockRequest> request)
      : table_(&table), request_(request.get()), owned_(std::move(request)) {}
  HeldLocks(HeldLocks&& other) noexcept;
  HeldLocks& operator=(HeldLocks&& other) noexcept;
  HeldLocks(const HeldLocks&) = delete;
  HeldLocks& operator=(const HeldLocks&) = delete;
  ~HeldLocks() { release(); }

  // All of them now, or it is of nothing (LockTable::try_acquire).
  [[nodiscard]] static HeldLocks try_take(LockTable& table, LockRequest& request);
  [[nodiscard]] static HeldLocks try_take(LockTable& table, std::unique_ptr<LockRequest> request);

  // Whether they are held.
  explicit operator bool() const { return request_ != nullptr && request_->held(); }
  // What was done under them. Unsaid it is kWritten: others then ask again, perhaps for nothing.
  void leave(Left left) { left_ = left; }
  // Gives them back, or the place in line for them, before this ends.
  void release();

 private:
  LockTable* table_ = nullptr;
  LockRequest* request_ = nullptr;
  std::unique_ptr<LockRequest> owned_;  // request_, or none: it is somebody else's
  Left left_ = Left::kWritten;
};

}  // namespace outrigger
