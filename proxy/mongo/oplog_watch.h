// Keeps mongod from putting off what lone writes wait for.
//
// The problem: on a set of one, mongod answers a journaled write only once its oplog entry is
// visible, and leaves that for later, up to a millisecond, when it sees nobody wait for entries. A
// write that is alone loses to that race one time in three or so, and is then three times as slow;
// where many write there is always somebody. A cursor that waits at the oplog's end is somebody.
// It costs mongod 30 to 50 us an entry, which it has to spare for one writer and not for many: so
// there is one only while one writes, and often (and for as long as it was to wait).
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>

#include "config/clock.h"
#include "config/result.h"
#include "proxy/net/loop.h"

namespace outrigger {

// Of the loop's thread, but for the writes, which may be on any.
class OplogWatch {
 public:
  // Store::watch_oplog on another thread; calls back on any thread.
  using Watch = std::function<void(std::chrono::milliseconds, std::function<void(const Status&)>)>;

  static constexpr std::chrono::milliseconds kWatch{200};
  // Writes that come further apart than this are left as they are.
  static constexpr int64_t kOftenUs = 50'000;
  // After one that failed, or did not wait.
  static constexpr int64_t kPauseUs = 10'000'000;

  // `loop` and `clock` outlive this; `watch` is called on the loop's thread.
  OplogWatch(net::Loop& loop, const Clock& clock, Watch watch)
      : loop_(loop),
        clock_(clock),
        watch_(std::move(watch)),
        self_(std::make_shared<Self>(Self{this})) {}
  OplogWatch(const OplogWatch&) = delete;
  OplogWatch& operator=(const OplogWatch&) = delete;

  // A write from before it is sent until it is answered. `watch` may be null.
  class Write {
   public:
    Write(OplogWatch* watch, bool waits_for_journal) : watch_(watch) {
      if (watch_ != nullptr) watch_->began(waits_for_journal);
    }
    ~Write() {
      if (watch_ != nullptr) --watch_->under_way_;
    }
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;

   private:
    OplogWatch* watch_;
  };

 private:
  // What a thread that answers late, or a turn that comes late, may find gone.
  struct Watching {
    OplogWatch* owner;
    int64_t begun_us;
  };
  struct Self {
    OplogWatch* watch;
  };
  static constexpr int64_t kNever = INT64_MIN / 2;

  void began(bool waits_for_journal);
  [[nodiscard]] bool wrote_lately(int64_t now_us) const;
  void begin();
  void ended(const Status& status);

  net::Loop& loop_;
  const Clock& clock_;
  const Watch watch_;
  std::atomic<size_t> under_way_{0};  // writes
  // Of the last write, if it was alone and waited for the journal.
  std::atomic<int64_t> last_us_{kNever};
  std::atomic<int64_t> pause_until_us_{0};
  std::atomic<bool> is_watching_{false};  // or about to
  std::shared_ptr<Watching> watching_;
  std::shared_ptr<Self> self_;
};

}  // namespace outrigger
