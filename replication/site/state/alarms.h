// What people are told of this site: alarms, each about something that should never happen and
// needs a person, until it is over; and what holds the applier up.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "config/thread_annotations.h"

namespace outrigger {

// Thread-safe.
class Alarms {
 public:
  // `tell`: one line for the log, from any thread; may be empty.
  explicit Alarms(std::function<void(const std::string&)> tell) : tell_(std::move(tell)) {}

  // Told once, unless the text changes. There are at most so many at a time.
  void raise(const std::string& about, const std::string& text) {
    constexpr size_t kAlarmsMax = 64;
    {
      const MutexLock lock(mutex_);
      const auto found = alarms_.find(about);
      if (found == alarms_.end() ? alarms_.size() >= kAlarmsMax : found->second == text) return;
      alarms_[about] = text;
    }
    if (tell_) tell_(text);
  }
  void calm(const std::string& about) {
    const MutexLock lock(mutex_);
    alarms_.erase(about);
  }
  [[nodiscard]] std::vector<std::string> texts() const {
    const MutexLock lock(mutex_);
    std::vector<std::string> texts;
    for (const auto& [about, text] : alarms_) texts.push_back(text);
    return texts;
  }

  // ---- of the applier
  // Origins whose next record waits, and why.
  void set_held(std::vector<std::string> held) {
    const MutexLock lock(mutex_);
    held_ = std::move(held);
  }
  // Why nothing can be applied; empty: it can. True: that is new.
  bool set_trouble(const std::string& text) {
    const MutexLock lock(mutex_);
    if (trouble_ == text) return false;
    trouble_ = text;
    return true;
  }
  [[nodiscard]] std::vector<std::string> held() const {
    const MutexLock lock(mutex_);
    std::vector<std::string> all = held_;
    if (!trouble_.empty()) all.push_back(trouble_);
    return all;
  }

 private:
  const std::function<void(const std::string&)> tell_;
  mutable Mutex mutex_;
  std::map<std::string, std::string> alarms_ GUARDED_BY(mutex_);  // by what each is about
  std::vector<std::string> held_ GUARDED_BY(mutex_);
  std::string trouble_ GUARDED_BY(mutex_);
};

}  // namespace outrigger
