#include "replication/apply/resolution.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>

#include "replication/apply/apply_batch.h"
#include "replication/merge/body.h"
#include "replication/merge/merge.h"
#include "replication/merge/types/decompose.h"

namespace outrigger {
namespace {

// Of a detached row.
Result<merge::DocumentState> load_whole(std::string_view row) {
  auto state = merge::load_row(row);
  if (!state) return state;
  if (!state->detached) {
    return fail(ErrorCode::kCorrupt, "resolve", "", "the row does not hold the whole document");
  }
  merge::fill(*state, std::nullopt);
  return state;
}

// The commit whose value stands at a path.
Dot author_of(const merge::Body& body, const Path& path) {
  Dot author = merge::governor_of(body, path).stamp;
  const auto list = body.lists.find(path);
  if (list != body.lists.end()) author = std::max(author, list->second.asserted);
  return author.is_zero() ? body.floor_stamp : author;
}

// Calls set(path, value) and unset(path) for what leads from one document to the other.
template <typename Set, typename Unset>
void differ(const bson::Document& from, const bson::Document& to, Path& path, const Set& set,
            const Unset& unset) {
  std::unordered_map<std::string_view, bson::Value> before;
  for (const bson::Element& element : from) before.emplace(element.name, element.value);
  std::unordered_map<std::string_view, bool> kept;
  for (const bson::Element& element : to) {
    kept.emplace(element.name, true);
    if (path.empty() && element.name == "_id") continue;
    const auto old = before.find(element.name);
    if (old != before.end() && old->second == element.value) continue;
    path.emplace_back(element.name);
    const bool both = old != before.end() && merge::is_container(old->second, path) &&
                      merge::is_container(element.value, path);
    if (both) {
      differ(old->second.as_document(), element.value.as_document(), path, set, unset);
    } else {
      set(path, element.value);
    }
    path.pop_back();
  }
  for (const bson::Element& element : from) {
    if ((path.empty() && element.name == "_id") || kept.count(element.name) != 0) continue;
    path.emplace_back(element.name);
    unset(path);
    path.pop_back();
  }
}

bool is_counter(const merge::Body& body, const Path& path) {
  return body.counters.find(path) != body.counters.end();
}

}  // namespace

Result<std::optional<MergedParts>> merged_parts(std::string_view row, const std::string& ns,
                                                const bson::OwnedValue& id,
                                                const std::optional<std::string>& stored) {
  auto state = merge::load_row(row);
  if (!state) return tl::unexpected(state.error());
  // The app has written what the store holds now, and nobody has looked at it since.
  if (!state->detached) return std::optional<MergedParts>();
  merge::fill(*state, std::nullopt);
  const std::optional<std::string> merged = merge::document_of(*state);
  if (!merged) return std::optional<MergedParts>();
  const merge::WholeBody whole(*state);
  const merge::Body& body = *whole;
  MergedParts result;
  Path path;
  merge::for_each_leaf(path, bson::Value{bson::Type::kDocument, *merged},
                       [&](const Path& at, const bson::Value&) {
                         result.authors.emplace_back(at, author_of(body, at));
                       });
  StoreWrite update;
  update.ns = ns;
  update.id = id;
  std::map<Dot, StoreWrite> by_dot;
  StoreWrite increments = update;
  const auto write_of = [&](const Path& at) -> StoreWrite& {
    if (is_counter(body, at)) return increments;
    return by_dot.try_emplace(author_of(body, at), update).first->second;
  };
  result.base = stored.value_or(bson::Writer().value("_id", id).finish());
  differ(
      bson::Document(result.base), bson::Document(*merged), path,
      [&](const Path& at, const bson::Value& value) {
        write_of(at).set.push_back({at, bson::OwnedValue(value)});
      },
      [&](const Path& at) { write_of(at).unset.push_back(at); });
  if (by_dot.empty() && increments.set.empty() && increments.unset.empty()) {
    return std::optional<MergedParts>();
  }
  const std::vector<const StoreWrite*> first{&increments};
  result.base = written(result.base, first).value_or(result.base);
  for (auto at = by_dot.rbegin(); at != by_dot.rend(); ++at) {
    result.parts.push_back({at->first, std::move(at->second)});
  }
  return std::optional(std::move(result));
}

bool may_leave_out(const MergedParts::Part& part, const MergedParts& merged, const Met& met,
                   const std::string& words) {
  // MongoDB names fields in brackets: "cannot index parallel arrays [b] [a]".
  std::set<std::string, std::less<>> named;
  for (size_t open = words.find('['); open != std::string::npos; open = words.find('[', open + 1)) {
    const size_t close = words.find(']', open);
    if (close != std::string::npos) named.insert(words.substr(open + 1, close - open - 1));
  }
  const auto is_meant = [&](const Path& path) {
    if (named.empty()) return true;
    return std::any_of(path.begin(), path.end(), [&](const std::string& name) {
      return std::any_of(named.begin(), named.end(), [&](const std::string& each) {
        return each == name || each.ends_with("." + name);
      });
    });
  };
  return std::any_of(merged.authors.begin(), merged.authors.end(), [&](const auto& author) {
    return is_meant(author.first) && met.contains(met_pair(part.dot, author.second));
  });
}

Result<DocumentEffects> replacing_effects(std::string_view row, const std::string& ns,
                                          const bson::OwnedValue& id, const std::string& document) {
  auto state = load_whole(row);
  if (!state) return tl::unexpected(state.error());
  DocumentChange change;
  change.kind = DocumentChange::Kind::kReplace;
  change.ns = ns;
  change.id = id;
  change.document = document;
  // What it shows of counters it has seen: those go on from there.
  return merge::local_effects(*state, change, merge::LocalContext{});
}

Result<std::optional<std::string>> row_after_replacing(std::string_view row, const Record& record,
                                                       const DocumentEffects& effects,
                                                       const std::string& document) {
  auto state = load_whole(row);
  if (!state) return tl::unexpected(state.error());
  merge::apply_remote(*state, record, effects, nullptr);
  const std::optional<std::string> shown = merge::document_of(*state);
  if (!shown || !bson::equal_unordered(bson::Document(*shown), bson::Document(document))) {
    return std::optional<std::string>();
  }
  state->detached = false;
  return std::optional(merge::strip(*state));
}

std::vector<LedgerEntry> left_out_entries(const MergedParts::Part& part, const Dot& winner,
                                          const std::string& reason) {
  std::vector<LedgerEntry> entries;
  const auto add = [&](const Path& path, const bson::OwnedValue* value) {
    LedgerEntry entry;
    entry.time_ms = hlc_ms(winner.hlc);
    entry.ns = part.write.ns;
    entry.id = part.write.id;
    entry.path = path;
    entry.kind = kLeftOut;
    entry.shape = value != nullptr ? Shape::kValue : Shape::kAbsent;
    if (value != nullptr) entry.value = *value;
    entry.loser = part.dot;
    entry.winner = winner;
    entry.open = true;
    entry.reason = reason;
    entries.push_back(std::move(entry));
  };
  for (const StoreWrite::Set& set : part.write.set) add(set.path, &set.value);
  for (const Path& path : part.write.unset) add(path, nullptr);
  return entries;
}

}  // namespace outrigger
