// The documents that the store would not take (aside.h), and which of them are to be tried again:
// those that changed since, and now and then some of the others, as what stood in the way may have
// gone by itself.
//
// Those that are parked (merge/claims/claim.h) are tried apart from the others, and also when the
// document that stands before them changes.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/thread_annotations.h"
#include "replication/site/state/aside.h"

namespace outrigger {

// What is set aside in one collection.
struct AsideIn {
  std::vector<std::string> row_keys;     // none if there are too many
  std::optional<bool> has_unique_index;  // besides that of _id; nothing: nobody knows now
};

// Thread-safe. Documents go by their row keys.
class AsideDocuments {
 public:
  // From the log; it is to be tried again.
  void load(const std::string& row_key, Aside aside);
  // Set aside now: `aside` of `row_keys`, and no others of these. What is parked is to be tried.
  void replace(const std::set<std::string>& row_keys, std::map<std::string, Aside> aside);
  void remove(const std::string& row_key);

  [[nodiscard]] size_t size() const;
  [[nodiscard]] size_t unparked() const;
  [[nodiscard]] std::optional<Aside> find(const std::string& row_key) const;
  // Those set aside since `since_ms` or longer because of the document itself, in which parts met;
  // but for those to be tried again anyway.
  [[nodiscard]] std::map<std::string, Aside> unresolved(int64_t since_ms, size_t count) const;

  // It has been tried: it stays, and so long as `behind` (nothing: nobody known) is as it is.
  void stays(const std::string& row_key, Aside aside, const std::string& behind);
  // Those that stay because of one of these.
  [[nodiscard]] std::vector<std::string> behind(const std::vector<std::string>& row_keys) const;
  [[nodiscard]] bool is_parked(const std::string& row_key) const;
  // Is there any at all?
  [[nodiscard]] bool has_parked() const { return parked_ > 0; }
  [[nodiscard]] bool has_parked_in(const std::string& ns) const;
  void try_parked_again(const std::string& ns);

  // By namespace; with at most so many documents each.
  [[nodiscard]] std::map<std::string, AsideIn> in_namespaces(size_t documents_max) const;
  // Of measurements those of the time series whose entries in the catalogue these row keys name:
  // what happens to it may be the end of them.
  [[nodiscard]] std::vector<std::string> measured_in(const std::set<std::string>& row_keys) const;
  // Namespaces of which nobody has asked whether they have unique indexes, or not since
  // forget_indexes().
  [[nodiscard]] std::vector<std::string> without_indexes() const;
  void note_unique_index(const std::string& ns, std::optional<bool> has_one);
  void forget_indexes();

  // True: one of them is new among those to be tried again.
  bool try_again(const std::vector<std::string>& row_keys);
  // The next ones after `cursor`, round and round. Returns the cursor for the next call.
  [[nodiscard]] std::string try_some_again(std::string cursor, size_t count);
  // Those to be tried again that are set aside, but the parked ones.
  [[nodiscard]] std::map<std::string, Aside> due();
  // The parked ones behind `cursor`, at most so many.
  [[nodiscard]] std::map<std::string, Aside> parked_due(const std::string& cursor,
                                                        size_t count) const;
  // Is this one parked and to be tried again?
  [[nodiscard]] bool is_due(const std::string& row_key) const;
  // It is being tried.
  void taken(const std::string& row_key);
  // It was taken for nothing.
  void put_back(const std::string& row_key);

 private:
  void put(const std::string& row_key, Aside aside) REQUIRES(mutex_);
  void erase(const std::string& row_key) REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::map<std::string, Aside> aside_ GUARDED_BY(mutex_);
  std::set<std::string> retries_ GUARDED_BY(mutex_);
  std::map<std::string, std::set<std::string>> behind_ GUARDED_BY(mutex_);  // by who stands before
  std::map<std::string, std::string> before_ GUARDED_BY(mutex_);            // the other way
  std::map<std::string, std::optional<bool>> unique_ GUARDED_BY(mutex_);    // by namespace
  std::atomic<size_t> parked_{0};
};

}  // namespace outrigger
