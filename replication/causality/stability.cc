#include "replication/causality/stability.h"

#include <algorithm>

namespace outrigger {
namespace {

// Each report is true by itself, so any may be left out. Under steady writing only an old one can
// be passed: keep the oldest and let the newest replace the last.
constexpr size_t kPendingMax = 32;

}  // namespace

Stability::Stability(const Origin& self, size_t member_count, uint64_t serial_start)
    : self_(self), member_count_(member_count), serial_(serial_start) {}

Report Stability::report(const VersionVector& vector, const VersionVector& issued) {
  Report report;
  report.site = self_.site;
  report.epoch = self_.epoch;
  report.serial = ++serial_;
  report.vector = vector;
  report.issued = own_issued(vector, issued);
  for (const auto& [origin, hlc] : closed_.entries()) {
    if (origin.site == self_.site) report.closed.raise(origin, hlc);
  }
  return report;
}

VersionVector Stability::own_issued(const VersionVector& vector,
                                    const VersionVector& issued) const {
  VersionVector own;
  for (const auto* part : {&vector, &issued}) {
    for (const auto& [origin, hlc] : part->entries()) {
      if (origin.site == self_.site) own.raise(origin, hlc);
    }
  }
  return own;
}

bool Stability::hear(const Report& report, bool direct) {
  if (report.site == self_.site) return false;
  auto found = heard_.find(report.site);
  if (found == heard_.end()) {
    if (heard_.size() + 1 >= member_count_) return false;
    found = heard_.try_emplace(report.site).first;
  } else if (direct && !found->second.direct) {
    found->second = Heard();
  } else if (found->second.latest.serial >= report.serial) {
    return false;
  } else if (found->second.latest.epoch != report.epoch) {
    // A new epoch may know less than the old one did: what the old one reported is void.
    found->second = Heard();
  }
  queue(found->second, report);
  found->second.direct = direct;
  return true;
}

void Stability::queue(Heard& heard, const Report& report) {
  heard.latest = report;
  if (heard.pending.size() >= kPendingMax) heard.pending.pop_back();
  heard.pending.push_back(report);
}

bool Stability::update(const VersionVector& vector, const VersionVector& issued,
                       const VersionVector& known) {
  const VersionVector stable_before = stable_;
  const VersionVector closed_before = closed_;
  // Our own report waits like any other: while a local write is in flight that had not seen a dot,
  // its record may still be published after it.
  queue(own_, report(vector, issued));
  pass_reports(known);
  const bool all_known =
      own_.usable && heard_.size() + 1 == member_count_ &&
      std::all_of(heard_.begin(), heard_.end(), [](const auto& h) { return h.second.usable; });
  if (all_known) {
    VersionVector common = own_.vector;
    for (const auto& [site, heard] : heard_) common = VersionVector::minimum(common, heard.vector);
    stable_.raise(common);
  }
  close_own(vector);
  return !(stable_ == stable_before && closed_ == closed_before);
}

void Stability::pass_reports(const VersionVector& known) {
  auto pass = [&](Heard& heard) {
    std::erase_if(heard.pending, [&](const Report& report) {
      if (!known.includes(report.issued)) return false;
      heard.usable = true;
      heard.vector.raise(report.vector);
      for (const auto& [origin, hlc] : report.closed.entries()) {
        // Its own word only, and not of epochs retired since.
        const bool is_known = known.at(origin) != 0 || origin.epoch == kRetired;
        if (origin.site == report.site && is_known) closed_.raise(origin, hlc);
      }
      return true;
    });
  };
  pass(own_);
  for (auto& [site, heard] : heard_) pass(heard);
}

void Stability::retire(const VersionVector& epochs, Hlc watermark) {
  // Closed for ever is beyond any watermark: these are taken out by name.
  for (const auto& [origin, hlc] : epochs.entries()) closed_.erase(origin);
  if (!epochs.empty()) {
    closed_.raise(VersionVector::retired_of(epochs.entries().front().first.site), watermark);
  }
}

void Stability::close_own(const VersionVector& vector) {
  for (const auto& [origin, hlc] : vector.entries()) {
    if (origin.site != self_.site || origin == self_) continue;
    closed_.raise(origin, origin.epoch == kRetired ? hlc : kHlcMax);
  }
  closed_.raise(self_, stable_.at(self_));
}

std::vector<Report> Stability::latest() const {
  std::vector<Report> reports;
  for (const auto& [site, heard] : heard_) reports.push_back(heard.latest);
  return reports;
}

const Report* Stability::latest_of(const SiteId& site) const {
  const auto found = heard_.find(site);
  return found == heard_.end() ? nullptr : &found->second.latest;
}

}  // namespace outrigger
