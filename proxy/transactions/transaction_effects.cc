#include "proxy/transactions/transaction_effects.h"

#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/bson/number.h"

namespace outrigger {
namespace {

using Kind = DocumentChange::Kind;

std::string name_of(std::string_view ns, const bson::Value& id) {
  std::string name(ns);
  name.push_back('\0');
  return name.append(bson::canonical_key(id));
}

bool is_birth(const DocumentChange& change) {
  return change.kind == Kind::kInsert || change.kind == Kind::kUpsert;
}

// `path` is `outer`, or below it.
bool is_within(const Path& path, const Path& outer) {
  return path.size() >= outer.size() && std::equal(outer.begin(), outer.end(), path.begin());
}

size_t bytes_of(const PathChange& change) {
  size_t bytes = sizeof(PathChange) + change.value.bytes.size();
  if (change.base) bytes += change.base->bytes.size();
  for (const std::string& name : change.path) bytes += sizeof(name) + name.size();
  for (const ElementPart& part : change.parts) {
    bytes += sizeof(part) + (part.delta ? part.delta->bytes.size() : 0);
    for (const std::string& name : part.path) bytes += sizeof(name) + name.size();
  }
  return bytes;
}

size_t bytes_of(const DocumentChange& change) {
  size_t bytes = sizeof(change) + change.ns.size() + change.id.bytes.size();
  bytes += change.document.size();
  for (const PathChange& each : change.changes) bytes += bytes_of(each);
  return bytes;
}

// The two as one; nothing where that is not exact.
std::optional<bson::OwnedValue> sum_of(const bson::OwnedValue& a, const bson::OwnedValue& b) {
  const bool are_whole = (a.type == bson::Type::kInt32 || a.type == bson::Type::kInt64) &&
                         (b.type == bson::Type::kInt32 || b.type == bson::Type::kInt64);
  if (!are_whole) return std::nullopt;
  bson::Sum sum = bson::add(a.view(), b.view());
  if (sum.clamped) return std::nullopt;
  return std::move(sum.value);
}

// What was added behind all that was there; nothing: that is not all that was done.
std::optional<bson::OwnedValue> appended(const PathChange& edit) {
  const bool tells = edit.base_known && edit.value.type == bson::Type::kArray &&
                     (!edit.base || edit.base->type == bson::Type::kArray);
  if (!tells) return std::nullopt;
  bson::Writer added;
  size_t at = 0;
  const std::string empty = bson::Writer().finish();
  const bson::Document before(edit.base ? edit.base->bytes : empty);
  auto old = before.begin();
  for (const bson::Element& each : edit.value.view().as_document()) {
    if (old != before.end()) {
      if (!((*old).value == each.value)) return std::nullopt;
      ++old;
    } else {
      added.value(bson::index_name(at++), each.value);
    }
  }
  if (old != before.end() || at == 0) return std::nullopt;
  return bson::OwnedValue(bson::Type::kArray, added.finish());
}

// The field that tells the elements apart before the first and after the second; empty: none does.
std::string key_of_both(const PathChange& first, const PathChange& again) {
  const std::string& key = first.key.empty() ? again.key : first.key;
  const bool holds = !key.empty() && first.base && bson::is_keyed_by(first.base->view(), key) &&
                     bson::is_keyed_by(again.value.view(), key);
  return holds ? key : "";
}

// What both did to one array; where they differ, only what is left tells.
ArrayEdit both_edits(const PathChange& first, const PathChange& again) {
  const ArrayEdit by_what_is_left = first.key.empty() ? ArrayEdit::kComputed : ArrayEdit::kKeyed;
  const bool was_keyed = first.edit == ArrayEdit::kKeyed || again.edit == ArrayEdit::kKeyed;
  if (was_keyed) return by_what_is_left;
  if (first.edit == again.edit) return first.edit;
  if (first.base == first.value) return again.edit;
  if (again.base == again.value) return first.edit;
  // What is added behind all others stands beside what is changed in place.
  const bool in_place = (first.edit == ArrayEdit::kInPlace && appended(again)) ||
                        (again.edit == ArrayEdit::kInPlace && appended(first));
  return in_place ? ArrayEdit::kInPlace : by_what_is_left;
}

// What both named in elements. None: that is not known of one of them.
std::vector<ElementPart> both_parts(PathChange& first, PathChange& again) {
  if (first.base == first.value || appended(first)) return std::move(again.parts);
  if (again.base == again.value || appended(again)) return std::move(first.parts);
  if (first.parts.empty() || again.parts.empty()) return {};
  std::vector<ElementPart> parts = std::move(first.parts);
  for (ElementPart& part : again.parts) {
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) {
      parts.push_back(std::move(part));
    }
  }
  return parts;
}

// Two edits of one array as one that leads from what was there to what is there now; whatever
// cannot be told so is what the array is now.
void edit_again(PathChange& first, PathChange&& again) {
  const bool follows = first.kind == Operation::kEdit && again.kind == Operation::kEdit &&
                       first.base_known && again.base_known && again.base == first.value;
  if (!follows) {
    first = std::move(again);
    first.kind = Operation::kAssign;
    return;
  }
  first.key = key_of_both(first, again);
  first.edit = both_edits(first, again);
  first.parts = both_parts(first, again);
  first.value = std::move(again.value);
}

PreparedPath prepared(const PathChange& change) {
  PreparedPath path;
  path.kind = change.kind;
  path.path = change.path;
  if (change.kind == Operation::kUnset) return path;
  std::optional<bson::OwnedValue> added;
  if (change.kind == Operation::kEdit) {
    added = appended(change);
    if (!added) path.kind = Operation::kAssign;
  }
  path.value = added ? std::move(*added) : change.value;
  return path;
}

PreparedDocument prepared(const DocumentChange& change) {
  using What = PreparedDocument::What;
  PreparedDocument out;
  out.ns = change.ns;
  out.id = change.id;
  switch (change.kind) {
    case Kind::kInsert:
      out.what = What::kInsert;
      break;
    case Kind::kUpsert:
      out.what = What::kUpsert;
      break;
    case Kind::kReplace:
      out.what = What::kReplace;
      out.whole = true;
      break;
    case Kind::kUpdate:
      out.what = What::kUpdate;
      break;
    case Kind::kRemove:
      out.what = What::kRemove;
      break;
  }
  out.removal = change.removal;
  out.told_whole = change.is_version;
  out.document = change.document;
  for (const PathChange& at : change.changes) out.paths.push_back(prepared(at));
  return out;
}

}  // namespace

TransactionEffects::Touched& TransactionEffects::touched(const DocumentChange& change) {
  const auto [found, is_new] =
      index_.try_emplace(name_of(change.ns, change.id.view()), documents_.size());
  if (is_new) {
    bytes_ += sizeof(Touched) + sizeof(*found) + 2 * found->first.size();
    Touched& document = documents_.emplace_back();
    document.ns = change.ns;
    document.id = change.id;
  }
  return documents_[found->second];
}

void TransactionEffects::add(DocumentChange change) {
  Touched& document = touched(change);
  const size_t before = document.removed.size() + (document.now ? bytes_of(*document.now) : 0);
  put(document, std::move(change));
  bytes_ += document.removed.size() + (document.now ? bytes_of(*document.now) : 0);
  bytes_ -= before;
}

void TransactionEffects::put(Touched& document, DocumentChange&& change) {
  switch (change.kind) {
    case Kind::kRemove:
      // What the transaction has written itself does not show as it was before: that just goes.
      if (!document.was_removed && !document.now) {
        document.removal = change.removal;
        document.removed = std::move(change.document);
      }
      document.was_removed = document.was_removed || !document.now || !is_birth(*document.now);
      document.now.reset();
      document.is_wanted = false;
      document.wanted_paths.clear();
      return;
    case Kind::kReplace:
      // What is born here and replaced is born so.
      if (document.now && is_birth(*document.now)) change.kind = Kind::kInsert;
      if (document.now) change.keys = std::min(change.keys, document.now->keys);
      if (document.now && document.now->is_version) change.is_version = true;
      break;
    case Kind::kInsert:
    case Kind::kUpsert:
      break;
    case Kind::kUpdate:
      update(document, std::move(change));
      return;
  }
  document.is_wanted = false;
  document.wanted_paths.clear();
  document.now = std::move(change);
}

void TransactionEffects::update(Touched& document, DocumentChange&& change) {
  if (!document.now) {
    document.now = std::move(change);
    return;
  }
  document.now->keys = std::min(document.now->keys, change.keys);
  if (document.now->kind != Kind::kUpdate) {
    document.is_wanted = true;
    if (document.now->kind != Kind::kUpsert) return;
    for (PathChange& at : change.changes) count_of_birth(*document.now, std::move(at));
    return;
  }
  for (PathChange& at : change.changes) compose(document, std::move(at));
}

// What an upsert counted and added adds up with what others do who make the document, too.
void TransactionEffects::count_of_birth(DocumentChange& birth, PathChange&& change) {
  const auto meets = [&](const PathChange& at) {
    return is_within(at.path, change.path) || is_within(change.path, at.path);
  };
  const auto counted = std::find_if(birth.changes.begin(), birth.changes.end(), meets);
  const bool adds = change.kind == Operation::kIncrement || change.kind == Operation::kEdit;
  if (counted == birth.changes.end()) {
    // The first of its kind: to what nobody has given a value here.
    const bool is_from_nothing = change.base_known && !change.base;
    if (adds && is_from_nothing) birth.changes.push_back(std::move(change));
    return;
  }
  const bool is_same = counted->path == change.path && counted->kind == change.kind;
  if (is_same && change.kind == Operation::kIncrement) {
    if (auto sum = sum_of(counted->value, change.value)) {
      counted->value = std::move(*sum);
      return;
    }
  }
  if (is_same && change.kind == Operation::kEdit) {
    edit_again(*counted, PathChange(change));
    if (counted->kind == Operation::kEdit) return;
  }
  std::erase_if(birth.changes, meets);
}

void TransactionEffects::compose(Touched& document, PathChange&& change) {
  std::vector<PathChange>& all = document.now->changes;
  const auto around = std::find_if(all.begin(), all.end(), [&](const PathChange& at) {
    return is_within(change.path, at.path);
  });
  const bool is_same = around != all.end() && around->path == change.path;
  if (is_same && change.kind == Operation::kIncrement && around->kind == Operation::kIncrement) {
    if (auto sum = sum_of(around->value, change.value)) {
      around->value = std::move(*sum);
      return;
    }
  }
  if (is_same && change.kind == Operation::kEdit) return edit_again(*around, std::move(change));
  const bool gives = change.kind != Operation::kIncrement;
  if (around != all.end() && (!is_same || !gives)) {
    document.wanted_paths.push_back(around->path);
    return;
  }
  // It takes the place of all that was done there; its own place is the last, as it came last.
  const size_t taken =
      std::erase_if(all, [&](const PathChange& at) { return is_within(at.path, change.path); });
  if (taken > 0 && change.kind == Operation::kEdit) change.kind = Operation::kAssign;
  std::erase_if(document.wanted_paths,
                [&](const Path& path) { return is_within(path, change.path); });
  all.push_back(std::move(change));
}

bool TransactionEffects::empty() const {
  return std::none_of(documents_.begin(), documents_.end(), [](const Touched& document) {
    return document.was_removed || document.now.has_value();
  });
}

std::vector<TransactionEffects::Wanted> TransactionEffects::wanted() const {
  std::map<std::string, std::vector<bson::OwnedValue>> by_ns;
  for (const Touched& document : documents_) {
    const bool is_wanted = document.is_wanted || !document.wanted_paths.empty();
    if (is_wanted) by_ns[document.ns].push_back(document.id);
  }
  std::vector<Wanted> out;
  for (auto& [ns, ids] : by_ns) out.push_back({ns, std::move(ids)});
  return out;
}

void TransactionEffects::show(const std::string& ns, const bson::Document& document) {
  const auto id = document.find("_id");
  if (!id) return;
  const auto found = index_.find(name_of(ns, *id));
  if (found == index_.end()) return;
  bytes_ += document.bytes().size();
  documents_[found->second].shown = std::string(document.bytes());
}

bool TransactionEffects::fill_in(Touched& document) {
  if (!document.is_wanted && document.wanted_paths.empty()) return true;
  if (!document.shown) return false;
  DocumentChange& now = *document.now;
  if (document.is_wanted) {
    now.document = std::move(*document.shown);
    return true;
  }
  bson::PathFinder finder{bson::Document(*document.shown)};
  for (const Path& path : document.wanted_paths) {
    const bson::PathFinder::Reached reached = finder.walk(path);
    const bool is_whole = reached.names == path.size();
    if (!is_whole && reached.value && reached.value->type == bson::Type::kArray) {
      // An array travels as one, and what names it is not told from here.
      now.kind = Kind::kReplace;
      now.document = std::move(*document.shown);
      now.changes.clear();
      return true;
    }
    for (PathChange& at : now.changes) {
      if (at.path != path) continue;
      at.kind = is_whole && reached.value ? Operation::kAssign : Operation::kUnset;
      at.value =
          at.kind == Operation::kAssign ? bson::OwnedValue(*reached.value) : bson::OwnedValue();
      at.base.reset();
      at.base_known = false;
    }
  }
  return true;
}

std::optional<std::vector<DocumentChange>> TransactionEffects::take() {
  std::vector<DocumentChange> out;
  for (Touched& document : documents_) {
    if (!fill_in(document)) return std::nullopt;
    if (document.was_removed) {
      DocumentChange& removal = out.emplace_back();
      removal.kind = Kind::kRemove;
      removal.ns = document.ns;
      removal.id = document.id;
      removal.removal = document.removal;
      removal.document = std::move(document.removed);
    }
    if (document.now) out.push_back(std::move(*document.now));
  }
  documents_.clear();
  index_.clear();
  bytes_ = 0;
  return out;
}

Prepare prepare_of(const std::vector<DocumentChange>& changes, const SessionKey& session) {
  Prepare out;
  out.transaction = true;
  out.session = session_token(session);
  out.documents.reserve(changes.size());
  for (const DocumentChange& change : changes) out.documents.push_back(prepared(change));
  return out;
}

}  // namespace outrigger
