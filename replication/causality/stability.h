// When may metadata be forgotten? A dot is stable at a site when every member has applied it and
// everything a member might have written without having seen it has arrived here as well. From
// then on whatever arrives follows it causally, and comparing stamps with it has become pointless.
//
// Members tell each other in reports: the vector applied, the highest stamp *allocated* so far
// (published or not: a write in flight may not have seen the dot), and how far the site has closed
// its own counters. A report counts only once its reader has applied everything up to the
// allocated stamps it names; our own report is no exception. A member that has not reported since
// it (re)started freezes stability: after a restart it may know less than before.
//
// A counter entry may be folded only when its origin has promised never to extend it again: the
// origin's `closed` stamp, believed from the origin's own report alone and under the same
// condition. An old epoch of a site is closed for ever once the site knows it to its end.
//
// A vector names records, so that whatever it says is on disk with them. That a site has issued
// stamps which came to nothing is told apart, as a promise ("no record up to here but those you
// have"): it only serves to pass reports, is kept in memory, and losing or believing a wrong one
// makes no record look like one that is already here.
#pragma once

#include <map>
#include <vector>

#include "replication/causality/stamp.h"
#include "replication/causality/version_vector.h"

namespace outrigger {

// Written in one critical section by the member it speaks for; relayed unchanged.
struct Report {
  SiteId site{};
  uint64_t epoch = 0;
  uint64_t serial = 0;   // increases over the life of a site, restarts included
  VersionVector vector;  // records applied here (own origins: published)
  VersionVector issued;  // own origins only: highest stamp allocated
  VersionVector closed;  // own origins only: counter entries up to here are never extended
  friend bool operator==(const Report&, const Report&) = default;
};

// Pure; not thread-safe: lives under the lock of the vector and the clock.
class Stability {
 public:
  // `member_count`: all members of the policy, ourselves included; their ids become known with
  // their first reports. `serial_start`: above every serial this site has used, also before a
  // restart (the clock's first stamp, or the process's start in wall time, serves).
  Stability(const Origin& self, size_t member_count, uint64_t serial_start);

  // What to tell peers. `vector`: the durable applied vector. `issued`: for each own origin with
  // stamps that are not published yet, the highest allocated (the present origin always, old
  // epochs while recovered writes of theirs wait).
  [[nodiscard]] Report report(const VersionVector& vector, const VersionVector& issued);

  // A member's report, from itself or relayed, in any order. False: nothing new in it (older than
  // one we have, our own, or of a site beyond the member count). Its own word (`direct`) replaces
  // what others have told of it, however new that claimed to be.
  bool hear(const Report& report, bool direct = true);

  // Advances stable() and closed() to what the reports heard so far allow. `vector` and `issued`
  // as in report(); `known`: per origin, up to where nothing is missing here, promises included.
  // True if anything moved.
  bool update(const VersionVector& vector, const VersionVector& issued, const VersionVector& known);

  // Epochs of ours are retired: from now on they are spoken of by their watermark.
  void retire(const VersionVector& epochs, Hlc watermark);

  [[nodiscard]] const VersionVector& stable() const { return stable_; }
  [[nodiscard]] const VersionVector& closed() const { return closed_; }
  // The bound for LocalContext::closed: own entries at or below it are not extended any more.
  [[nodiscard]] Hlc own_closed() const { return closed_.get(self_); }

  // The newest report of each other member, to be relayed.
  [[nodiscard]] std::vector<Report> latest() const;
  // The newest report of a member (usable or not); null: none heard.
  [[nodiscard]] const Report* latest_of(const SiteId& site) const;

 private:
  struct Heard {
    Report latest;
    std::vector<Report> pending;  // not passed yet, oldest first
    bool usable = false;          // one of its present epoch has been passed
    bool direct = false;          // `latest` is the site's own word
    VersionVector vector;         // what the passed ones vouch for
  };

  void pass_reports(const VersionVector& known);
  void queue(Heard& heard, const Report& report);
  [[nodiscard]] VersionVector own_issued(const VersionVector& vector,
                                         const VersionVector& issued) const;
  void close_own(const VersionVector& vector);

  const Origin self_;
  const size_t member_count_;
  uint64_t serial_;
  std::map<SiteId, Heard> heard_;  // other members
  Heard own_;                      // ourselves, by the same rule
  VersionVector stable_;
  VersionVector closed_;
};

}  // namespace outrigger
