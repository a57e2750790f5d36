#include "replication/apply_batch.h"

#include "replication/bson/fields.h"
#include "replication/merge/merge.h"

namespace outrigger {
namespace {

constexpr size_t kDiffDepthMax = 100;
// MongoDB takes an update of n paths in about n squared; a whole document costs its bytes.
constexpr size_t kDiffPathsMax = 256;

// What turns one document into another, by paths. Both are walked once.
class Difference {
 public:
  explicit Difference(StoreWrite& write) : write_(write) {}

  // False: it cannot be said by paths; what was written of it so far is then taken back.
  bool between(const bson::Document& from, const bson::Document& to) {
    const size_t sets = write_.set.size();
    const size_t unsets = write_.unset.size();
    const size_t depth = path_.size();
    if (says(from, to)) return true;
    write_.set.resize(sets);
    write_.unset.resize(unsets);
    path_.resize(depth);
    return false;
  }

 private:
  bool says(const bson::Document& from, const bson::Document& to) {
    if (path_.size() > kDiffDepthMax || bson::has_repeated_names(from) ||
        bson::has_repeated_names(to)) {
      return false;
    }
    bson::FieldFinder before(from);
    for (const bson::Element& element : to) {
      const auto old = before.find(element.name);
      if (old && *old == element.value) continue;
      if (path_.empty() && element.name == "_id") return false;  // no update may change it
      path_.emplace_back(element.name);
      const bool both =
          old && old->type == bson::Type::kDocument && element.value.type == bson::Type::kDocument;
      if (!both || !between(old->as_document(), element.value.as_document())) {
        if (!is_dotted_path(path_)) return false;
        write_.set.push_back({path_, bson::OwnedValue(element.value)});
      }
      path_.pop_back();
    }
    bson::FieldFinder after(to);
    for (const bson::Element& element : from) {
      if ((path_.empty() && element.name == "_id") || after.find(element.name)) continue;
      path_.emplace_back(element.name);
      if (!is_dotted_path(path_)) return false;
      write_.unset.push_back(path_);
      path_.pop_back();
    }
    return true;
  }

  StoreWrite& write_;
  Path path_;
};

bson::OwnedValue stored_id(const std::optional<std::string>& stored, const bson::OwnedValue& id) {
  if (!stored) return id;
  const auto own = bson::Document(*stored).find("_id");
  return own ? bson::OwnedValue(*own) : id;
}

// A document always has an _id; what merged to one without was made by no author of ours.
std::string with_id(const std::string& document, const bson::OwnedValue& id) {
  bson::Writer writer;
  writer.value("_id", id);
  return writer.append_all(bson::Document(document)).finish();
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
  if (document.wanted && !bson::Document(*document.wanted).has("_id")) {
    document.wanted = with_id(*document.wanted, stored_id(document.stored, document.id));
  }
  merge::note_opaque(*state, document.wanted);
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
  const bool by_paths =
      Difference(write).between(from, to) && write.set.size() + write.unset.size() <= kDiffPathsMax;
  if (!by_paths) return whole_write(ns, own_id, wanted);
  return write;
}

}  // namespace outrigger
