// What worlds of unique keys (apply/unique_worlds_test.cc) must come to: a function of all that was
// written, which knows no rows, no stores and no order of arrival.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replication/bson/bson.h"
#include "replication/causality/version_vector.h"
#include "replication/record/operation.h"

namespace outrigger {

// One write to one account.
struct AccountWrite {
  enum class Kind : uint8_t { kBirth, kReplace, kUpdate, kCount, kRemove, kYield };
  Kind kind = Kind::kUpdate;
  Dot dot;
  VersionVector seen;  // by its author
  Keys keys = Keys::kClaims;
  std::map<std::string, std::optional<int>> fields{};  // given; of a birth and a replacement all
};

class AccountWritten {
 public:
  void write(AccountWrite write) { writes_.push_back(std::move(write)); }

  [[nodiscard]] bool is_deleted() const {
    const auto removes = [](const auto& each) { return each.kind == AccountWrite::Kind::kRemove; };
    return std::any_of(writes_.begin(), writes_.end(), removes) || is_gone();
  }
  // The latest one stands.
  [[nodiscard]] std::optional<int> value(const std::string& field) const {
    const AccountWrite* last = giver(field);
    return last == nullptr ? std::nullopt : last->fields.at(field);
  }
  // The newest that claims, and of all that is beside such a one.
  [[nodiscard]] Dot claim() const {
    std::vector<bool> counts(writes_.size());
    for (bool grows = true; grows;) {
      grows = false;
      for (size_t i = 0; i < writes_.size(); ++i) {
        if (counts[i] || !does_count(writes_[i], counts)) continue;
        counts[i] = grows = true;
      }
    }
    Dot claim;
    for (size_t i = 0; i < writes_.size(); ++i) {
      if (counts[i]) claim = std::max(claim, writes_[i].dot);
    }
    return claim;
  }

 private:
  using Kind = AccountWrite::Kind;

  static bool beside(const AccountWrite& a, const AccountWrite& b) {
    return a.dot != b.dot && !a.seen.covers(b.dot) && !b.seen.covers(a.dot);
  }
  [[nodiscard]] bool does_count(const AccountWrite& one, const std::vector<bool>& counts) const {
    if (one.kind == Kind::kBirth || one.kind == Kind::kYield) return true;
    if (one.kind == Kind::kRemove || one.keys == Keys::kNone) return false;
    if (one.keys == Keys::kClaims) return true;
    for (size_t i = 0; i < writes_.size(); ++i) {
      const bool matters =
          writes_[i].kind == Kind::kYield || (one.keys == Keys::kKeeps && counts[i]);
      if (matters && beside(one, writes_[i])) return true;
    }
    return false;
  }
  [[nodiscard]] const AccountWrite* giver(const std::string& field) const {
    const AccountWrite* last = nullptr;
    for (const AccountWrite& each : writes_) {
      if (each.fields.contains(field) && (last == nullptr || each.dot > last->dot)) last = &each;
    }
    return last;
  }
  // Removals that yield have seen all that was written.
  [[nodiscard]] bool is_gone() const {
    const auto removes = [](const AccountWrite& each) {
      return each.kind == Kind::kRemove || each.kind == Kind::kYield;
    };
    const auto is_seen = [&](const AccountWrite& write) {
      return std::any_of(writes_.begin(), writes_.end(), [&](const AccountWrite& removal) {
        return removal.kind == Kind::kYield && removal.seen.covers(write.dot);
      });
    };
    return std::all_of(writes_.begin(), writes_.end(),
                       [&](const AccountWrite& each) { return removes(each) || is_seen(each); });
  }

  std::vector<AccountWrite> writes_;
};

struct AccountsWritten {
  std::map<int, AccountWritten> documents;

  // In the order of claims each is shown that shares no key with one shown before.
  [[nodiscard]] std::set<int> shown(const std::vector<std::string>& unique) const {
    std::map<std::pair<Dot, std::string>, int> order;
    for (const auto& [id, written] : documents) {
      if (written.is_deleted()) continue;
      order[{written.claim(), bson::canonical_key(bson::make_int32(id).view())}] = id;
    }
    std::set<int> shown;
    std::set<std::pair<std::string, int>> taken;
    for (const auto& [claim, id] : order) {
      std::set<std::pair<std::string, int>> keys;
      for (const std::string& field : unique) {
        const auto value = documents.at(id).value(field);
        if (value) keys.insert({field, *value});
      }
      const bool is_free = std::none_of(keys.begin(), keys.end(),
                                        [&](const auto& key) { return taken.contains(key); });
      if (!is_free) continue;
      shown.insert(id);
      taken.insert(keys.begin(), keys.end());
    }
    return shown;
  }
};

}  // namespace outrigger
