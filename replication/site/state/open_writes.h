// The writes of this run between the taking of their stamps and the sync that settles them: they
// hold back what peers may have. "Published" is a stamp up to which every write is settled and on
// disk; a record beyond waits, however long it has been on disk itself.
//
// Appends to the log are counted, so that one sync can be told to have covered the settling of a
// document's last write (unsynced_documents.h).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "config/result.h"
#include "replication/causality/stamp.h"
#include "replication/causality/version_vector.h"
#include "replication/site/state/unsynced_documents.h"

namespace outrigger {

// The name of a local write, and what it depends on.
struct LocalWrite {
  Hlc hlc = 0;
  VersionVector deps;
  std::string app{};  // Record::app
};

// A local write whose end is still owed. Were it forgotten between begin and settle or drop,
// nothing of this site would be published any more, and nothing would say why. So it ends in one of
// three ways, and to go without is an error of this program (asserted): it is settled; it is
// dropped; or it is left to recovery, with its prepare in the log and publication held back until
// the next start settles it. That is for who cannot do better: the outbox has failed, or the
// process is ending while the store answers nobody.
class UndecidedWrite {
 public:
  UndecidedWrite() = default;  // owes nothing
  explicit UndecidedWrite(LocalWrite name) : name_(std::move(name)), is_owed_(true) {}
  UndecidedWrite(UndecidedWrite&& other) noexcept
      : name_(std::move(other.name_)), is_owed_(std::exchange(other.is_owed_, false)) {}
  UndecidedWrite& operator=(UndecidedWrite&& other) noexcept {
    OUTRIGGER_ASSERT(!is_owed_);
    name_ = std::move(other.name_);
    is_owed_ = std::exchange(other.is_owed_, false);
    return *this;
  }
  UndecidedWrite(const UndecidedWrite&) = delete;
  UndecidedWrite& operator=(const UndecidedWrite&) = delete;
  ~UndecidedWrite() { OUTRIGGER_ASSERT(!is_owed_); }

  [[nodiscard]] const LocalWrite& name() const { return name_; }
  // Of one that is decided nothing changes.
  void leave_to_recovery() { is_owed_ = false; }

 private:
  friend class LocalWrites;
  void decided() { is_owed_ = false; }  // its end is staged

  LocalWrite name_;
  bool is_owed_ = false;
};

// Whether a document has a local write that is settled, but not on disk yet as settled, and how a
// crash would settle it.
enum class Unsynced : uint8_t { kNone, kRecoverableFromOplog, kRecoverableByContent };

struct OpenWrite {
  int64_t since_us = 0;     // monotonic
  bool settled = false;     // its batch is written; it waits for the sync
  bool by_content = false;  // the store does not know it by a number
  bool wrote = false;       // a record
  // What was applied here when it began; none for a write that no store takes part in.
  std::shared_ptr<const VersionVector> seen;
  std::vector<UnsyncedDocuments::Slot> documents;
};

// A stamp whose batch is in the log. Without bytes there is no record under it.
struct SettledWrite {
  Dot dot;
  size_t record_bytes = 0;
};

// Not thread-safe: lives under the lock of SiteState.
class OpenWrites {
 public:
  void begin(Hlc stamp, OpenWrite write) { open_.emplace(stamp, std::move(write)); }
  [[nodiscard]] bool contains(Hlc stamp) const { return open_.count(stamp) == 1; }

  // A batch has been appended; its number, counted from 1.
  uint64_t append() { return ++appends_; }
  void settle(const SettledWrite& write, uint64_t append);

  // What settled this stamp is on disk: it is open no more. False: it was not open.
  bool durable(Hlc stamp);
  // Append number `append` is on disk, and all before it.
  void synced(uint64_t append) { unsynced_.synced(append); }

  struct Published {
    bool moved = false;
    Hlc newest_record = 0;  // of those published by this; 0: none was
  };
  // `issued`: the last stamp of this run.
  [[nodiscard]] Published raise_published(Hlc issued);
  [[nodiscard]] Hlc published() const { return published_; }
  // The first whose answer the store still owes; null: there is none.
  [[nodiscard]] const std::pair<const Hlc, OpenWrite>* first_unanswered() const;

  [[nodiscard]] Unsynced unsynced(UnsyncedDocuments::Slot slot) const;
  struct Waiting {
    uint64_t count = 0;  // begun, not settled
    int64_t oldest_since_us = 0;
  };
  [[nodiscard]] Waiting waiting() const;

 private:
  std::map<Hlc, OpenWrite> open_;
  Hlc published_ = 0;          // every stamp up to here is settled, and that is on disk
  std::set<Hlc> unpublished_;  // records that are on disk, but not published yet
  UnsyncedDocuments unsynced_;
  uint64_t appends_ = 0;  // of settled writes
};

}  // namespace outrigger
