// The documents of a store in memory and the keys they hold in its unique indexes, as MongoDB has
// it of fields, compound keys and arrays. A field that is missing counts as null; each element of
// an array is a key. No collations, no filters.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/thread_annotations.h"
#include "replication/bson/bson.h"
#include "replication/record/path.h"
#include "replication/store/memory/memory_trouble.h"
#include "replication/store/store.h"

namespace outrigger {

struct MemoryIndex {
  std::vector<Path> fields;
  bool sparse = false;  // a document that has none of the fields holds no key
  KeyGuard guard = KeyGuard::kAll;

  // "a.b_1_c_1"
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string spec() const;  // KeyIndex has it
};

[[nodiscard]] std::set<std::string> keys_in(const MemoryIndex& index,
                                            const bson::Document& document);

// Thread-safe.
class MemoryKeys : public Store, public MemoryTrouble {
 public:
  [[nodiscard]] Result<std::vector<std::string>> holders(const std::string& ns,
                                                         const std::string& document,
                                                         const std::string& index) override;
  [[nodiscard]] Result<bool> holds_keys(const std::string& ns, const std::string& document,
                                        const std::string& index) override;

  [[nodiscard]] Result<std::optional<KeyIndex>> key_index(const std::string& ns,
                                                          const std::string& name) override;
  // A crash that is ordered may come before it, or after a unique index was dropped for it.
  [[nodiscard]] Result<GuardChange> set_guard(const std::string& ns, const std::string& spec,
                                              KeyGuard guard) override;

  // By canonical key.
  [[nodiscard]] Result<std::vector<ListedDocument>> list(const std::string& ns,
                                                         int64_t count) override;

  // What is there already is not looked at. The app's side must ask itself: put() takes anything.
  void make_unique(const std::string& ns, MemoryIndex index);
  void drop_unique(const std::string& ns, const std::string& name);
  // An index that is to be made anew is not, as often as this says no; nor as it was, if it says it
  // of that, too.
  void fail_to_make(std::function<bool(KeyGuard)> may);
  // set_guard() is answered with the code that this gives, unless it is 0, and does nothing.
  void refuse_guards(std::function<int32_t(KeyGuard)> code);
  // What mongod says to `document` where another one holds a key of its; empty: none does.
  [[nodiscard]] std::string clash(const std::string& ns, const bson::Document& document) const;

 protected:
  // As CollectionInfo has them.
  [[nodiscard]] std::vector<Path> unique_fields(const std::string& ns) const REQUIRES(mutex_);
  [[nodiscard]] std::string clash_of(const std::string& ns, const bson::Document& document) const
      REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::map<MemoryKey, std::string> documents_ GUARDED_BY(mutex_);

 private:
  // Other documents that have a key of `document` in the index.
  [[nodiscard]] std::vector<const std::string*> sharing(const std::string& ns,
                                                        const MemoryIndex& index,
                                                        const bson::Document& document) const
      REQUIRES(mutex_);
  // What is stored of this document, if that has one of these keys.
  [[nodiscard]] const std::string* in_index(const std::string& ns, const MemoryIndex& index,
                                            const bson::Document& document) const REQUIRES(mutex_);
  [[nodiscard]] bool refuses(const std::string& ns, const MemoryIndex& index,
                             const bson::Document& document) const REQUIRES(mutex_);
  [[nodiscard]] std::vector<std::vector<bson::OwnedValue>> duplicates(
      const std::string& ns, const MemoryIndex& index) const REQUIRES(mutex_);

  std::map<std::string, std::vector<MemoryIndex>> unique_ GUARDED_BY(mutex_);
  std::function<int32_t(KeyGuard)> guard_rule_ GUARDED_BY(mutex_);
  std::function<bool(KeyGuard)> may_make_ GUARDED_BY(mutex_);
};

}  // namespace outrigger
