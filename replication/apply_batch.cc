#include "replication/apply_batch.h"

#include <set>

#include "replication/merge/merge.h"

namespace outrigger {
namespace {

constexpr int kDiffDepthMax = 100;

bool names_repeat(const bson::Document& document) {
  std::set<std::string_view> names;
  for (const bson::Element& element : document) {
    if (!names.insert(element.name).second) return true;
  }
  return false;
}

// Collects what differs below `path`. False: it cannot be said by paths.
bool difference(const bson::Document& from, const bson::Document& to, Path& path,
                StoreWrite& write) {
  if (path.size() > kDiffDepthMax || names_repeat(from) || names_repeat(to)) return false;
  for (const bson::Element& element : to) {
    if (path.empty() && element.name == "_id") continue;
    const auto before = from.find(element.name);
    if (before && *before == element.value) continue;
    path.emplace_back(element.name);
    const bool both = before && before->type == bson::Type::kDocument &&
                      element.value.type == bson::Type::kDocument;
    bool expressed = false;
    if (both) {
      const size_t depth = path.size();
      expressed = difference(before->as_document(), element.value.as_document(), path, write);
      path.resize(depth);
    }
    if (!expressed) {
      if (!is_dotted_path(path)) return false;
      // A sub-document that could not be compared field by field may have left writes behind.
      std::erase_if(write.set, [&](const StoreWrite::Set& set) {
        return set.path.size() > path.size() &&
               std::equal(path.begin(), path.end(), set.path.begin());
      });
      std::erase_if(write.unset, [&](const Path& gone) {
        return gone.size() > path.size() && std::equal(path.begin(), path.end(), gone.begin());
      });
      write.set.push_back({path, bson::OwnedValue(element.value)});
    }
    path.pop_back();
  }
  for (const bson::Element& element : from) {
    if ((path.empty() && element.name == "_id") || to.has(element.name)) continue;
    path.emplace_back(element.name);
    if (!is_dotted_path(path)) return false;
    write.unset.push_back(path);
    path.pop_back();
  }
  return true;
}

bson::OwnedValue stored_id(const std::optional<std::string>& stored, const bson::OwnedValue& id) {
  if (!stored) return id;
  const auto own = bson::Document(*stored).find("_id");
  return own ? bson::OwnedValue(*own) : id;
}

// The document with exactly this _id (1 and 1.0 are one document, but the store keeps its form).
std::string with_id(const std::string& document, const bson::OwnedValue& id) {
  bson::Writer writer;
  writer.value("_id", id);
  for (const bson::Element& element : bson::Document(document)) {
    if (element.name != "_id") writer.element(element);
  }
  return writer.finish();
}

}  // namespace

Status merge_document(ApplyDocument& document) {
  auto state = merge::load_row(document.row ? std::string_view(*document.row) : std::string_view());
  if (!state) return tl::unexpected(state.error());
  std::optional<bson::Document> stored;
  if (document.stored) stored.emplace(*document.stored);
  merge::fill(*state, stored);
  std::vector<merge::Loss> losses;
  for (const auto& [record, effects] : document.effects) {
    merge::apply_remote(*state, *record, *effects, &losses);
  }
  document.wanted = merge::visible(*state, &losses);
  if (document.wanted) {
    document.wanted = with_id(*document.wanted, stored_id(document.stored, document.id));
  }
  state->detached = false;  // until the store says no again
  document.row_after = merge::strip(*state);
  document.lost.clear();
  for (const merge::Loss& loss : losses) {
    document.lost.push_back(ledger_entry(document.ns, document.id, loss));
  }
  return {};
}

Result<std::string> detached_row(std::string_view row, const std::string& document) {
  auto state = merge::load_row(row);
  if (!state) return tl::unexpected(state.error());
  merge::fill(*state, bson::Document(document));
  state->detached = true;
  return merge::strip(*state);
}

StoreWrite whole_write(const std::string& ns, const bson::OwnedValue& id,
                       const std::optional<std::string>& wanted) {
  StoreWrite write;
  write.ns = ns;
  write.id = id;
  write.kind = wanted ? StoreWrite::Kind::kReplaceOrInsert : StoreWrite::Kind::kRemove;
  if (wanted) write.document = *wanted;
  return write;
}

std::optional<StoreWrite> write_between(const std::string& ns, const bson::OwnedValue& id,
                                        const std::optional<std::string>& stored,
                                        const std::optional<std::string>& wanted) {
  if (!stored && !wanted) return std::nullopt;
  const bson::OwnedValue own_id = stored_id(stored, id);
  if (!stored || !wanted) return whole_write(ns, own_id, wanted);
  const bson::Document from(*stored);
  const bson::Document to(*wanted);
  if (bson::equal_unordered(from, to)) return std::nullopt;
  StoreWrite write;
  write.kind = StoreWrite::Kind::kUpdate;
  write.ns = ns;
  write.id = own_id;
  Path path;
  if (!difference(from, to, path, write)) return whole_write(ns, own_id, wanted);
  return write;
}

}  // namespace outrigger
