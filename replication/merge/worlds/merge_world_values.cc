#include "replication/merge/worlds/merge_world_values.h"

#include <algorithm>
#include <set>

#include "replication/bson/number.h"

namespace outrigger::merge {

bson::OwnedValue array_of_values(const std::vector<bson::OwnedValue>& values) {
  bson::Writer out;
  for (size_t i = 0; i < values.size(); ++i) out.value(bson::index_name(i), values[i]);
  return {bson::Type::kArray, out.finish()};
}

std::vector<bson::OwnedValue> values_in(const bson::Value& array) {
  std::vector<bson::OwnedValue> values;
  for (const bson::Element& each : array.as_document()) values.emplace_back(each.value);
  return values;
}

bson::OwnedValue RandomValues::fresh() { return bson::make_int32(++counter_); }

bson::OwnedValue RandomValues::item() {
  const size_t which = pick(5);
  if (which < 3) return bson::make_string(std::string(1, static_cast<char>('x' + which)));
  if (which == 3) return fresh();
  return document_item();
}

bson::OwnedValue RandomValues::document_item() {
  bson::Writer out;
  out.value("q", fresh());
  if (pick(2) == 0) out.open_document("d").value("x", fresh()).close();
  return bson::make_document(out.finish());
}

bson::OwnedValue RandomValues::array() {
  std::vector<bson::OwnedValue> items;
  for (size_t i = pick(4); i > 0; --i) items.push_back(item());
  return array_of_values(items);
}

bson::OwnedValue RandomValues::value() {
  const int32_t fresh = ++counter_;
  switch (pick(9)) {
    case 0:
      return bson::make_string("s" + std::to_string(fresh));
    case 1:
      return bson::make_double(fresh + 0.5);
    case 2:
      return bson::make_int32(INT32_MAX - 2);
    case 3:
      return bson::OwnedValue();  // null
    case 4: {
      bson::Writer w;
      w.int32("0", fresh).int32("1", 1);
      return {bson::Type::kArray, w.finish()};
    }
    case 5: {
      if (add_only_) return bson::make_int32(fresh);  // opaque documents do not add up
      bson::Writer w;
      w.int32("twice", fresh).int32("twice", 1);
      return bson::make_document(w.finish());
    }
    default:
      return bson::make_int32(fresh);
  }
}

bson::OwnedValue RandomValues::delta() {
  const int32_t delta = static_cast<int32_t>(pick(13)) - 3;
  if (add_only_) return bson::make_int32(delta);
  switch (pick(10)) {
    case 0:
      return bson::make_double(0.1 * delta);
    case 1:
      return bson::make_int64(delta);
    default:
      return bson::make_int32(delta);
  }
}

// The number in one of the forms that MongoDB holds to be the same _id.
bson::OwnedValue RandomValues::id(const std::string& id) {
  const int number = std::stoi(id);
  switch (pick(5)) {
    case 0:
      return bson::make_double(number);
    case 1:
      return bson::make_int64(number);
    default:
      return bson::make_int32(number);
  }
}
namespace {

AppWrite edit_write(DocumentChange&& change, const std::string& document, const Path& path,
                    const Found& before, const std::vector<bson::OwnedValue>& after,
                    ArrayEdit how) {
  PathChange edit;
  edit.kind = Operation::kEdit;
  edit.path = path;
  edit.value = array_of_values(after);
  edit.base_known = true;
  if (before.what == Found::kValue) edit.base = bson::OwnedValue(before.value);
  edit.edit = how;
  AppWrite write{std::move(change), {}};
  write.after = with_path(bson::Document(document), path, edit.value);
  write.change.changes.push_back(std::move(edit));
  return write;
}

// Where in an element something is written.
const std::vector<Path> kInside = {{"q"}, {"q"}, {"n"}, {"w"}, {"d", "x"}, {"d"}};

bool repeats_values(const bson::Value& array) {
  std::vector<bson::OwnedValue> seen;
  for (const bson::OwnedValue& each : values_in(array)) {
    if (std::find(seen.begin(), seen.end(), each) != seen.end()) return true;
    seen.push_back(each);
  }
  return false;
}

}  // namespace

void RandomEdits::forget_base(AppWrite& append, const DocumentState& state) {
  PathChange& push = append.change.changes.back();
  const bool image = pick(5) == 0;  // drawn either way: twin runs must decide alike
  const bool was_empty = !push.base || push.base->view().as_document().empty();
  if (image || !was_empty || !missing_is_empty(state, push.path)) return;
  push.base = array_of_values({});
  push.base_may_be_missing = true;
}

std::optional<AppWrite> RandomEdits::edit(DocumentChange change, const std::string& document,
                                          const DocumentState& state) {
  const Path path = kLists[pick(kLists.size())];
  const Found now = find_path(bson::Document(document), path);
  if (now.what == Found::kBlocked) return std::nullopt;
  if (now.what == Found::kValue && now.value.type != bson::Type::kArray) return std::nullopt;
  std::vector<bson::OwnedValue> all;
  if (now.what == Found::kValue) all = values_in(now.value);
  const size_t which = pick(18);
  if (which >= 10) return edit_inside(std::move(change), document, path, now, std::move(all));
  ArrayEdit how = ArrayEdit::kMoves;
  bool appends = false;
  const auto at = [&](size_t n) { return all.begin() + static_cast<std::ptrdiff_t>(n); };
  if (which < 4 || all.empty()) {
    const size_t where = which < 2 ? all.size() : pick(all.size() + 1);
    std::vector<bson::OwnedValue> more = values_in(values_.array().view());
    if (more.empty()) more.push_back(values_.item());
    all.insert(at(where), more.begin(), more.end());
    const bool cut = pick(6) == 0 && all.size() > 4;
    if (cut) all.erase(all.begin(), at(2));  // $slice
    appends = which < 2 && !cut;
  } else if (which < 6) {
    how = ArrayEdit::kAddsSet;
    const bson::OwnedValue item = values_.item();
    if (std::find(all.begin(), all.end(), item) != all.end()) return std::nullopt;
    all.push_back(item);
  } else if (which < 7) {
    const bson::OwnedValue item = all[pick(all.size())];
    std::erase(all, item);
  } else if (which < 8) {
    all.erase(pick(2) == 0 ? all.begin() : all.end() - 1);
  } else {
    how = ArrayEdit::kInPlace;
    all[pick(all.size())] = values_.item();
  }
  AppWrite write = edit_write(std::move(change), document, path, now, all, how);
  if (appends) forget_base(write, state);
  return write;
}

// What one operator does in an element. Nothing: it would be refused.
std::optional<ElementPart> RandomEdits::write_into(bson::OwnedValue& element) {
  ElementPart part;
  const bool is_document = element.type == bson::Type::kDocument;
  const bool is_number = element.view().is_number();
  if (!is_document || pick(10) == 0) {
    if (is_number && pick(2) == 0) {
      part.delta = values_.delta();
      element = bson::increment(element.view(), part.delta->view()).value;
    } else {
      element = values_.item();
    }
    return part;
  }
  part.path = kInside[pick(kInside.size())];
  const bson::Document within = element.view().as_document();
  const Found now = find_path(within, part.path);
  if (now.what == Found::kBlocked) return std::nullopt;
  std::optional<bson::OwnedValue> value;
  const bool counts = now.what == Found::kMissing || now.value.is_number();
  if (part.path.front() != "d" && counts && pick(3) > 0) {
    part.delta = values_.delta();
    value = now.what == Found::kMissing ? *part.delta
                                        : bson::increment(now.value, part.delta->view()).value;
  } else if (pick(5) > 0) {
    value = pick(4) == 0 ? values_.document_item() : values_.value();
  } else if (now.what == Found::kMissing) {
    return std::nullopt;
  }
  element = bson::make_document(with_path(within, part.path, value));
  return part;
}

std::optional<AppWrite> RandomEdits::edit_inside(DocumentChange change, const std::string& document,
                                                 const Path& path, const Found& now,
                                                 std::vector<bson::OwnedValue> all) {
  if (all.empty()) return std::nullopt;
  std::vector<ElementPart> parts;
  const size_t first = pick(all.size());
  for (size_t i = 0; i < 1 + pick(2); ++i) {
    const size_t at = (first + i) % all.size();
    std::optional<ElementPart> part = write_into(all[at]);
    if (!part) continue;
    if (pick(3) > 0) part->position = static_cast<uint32_t>(at);
    parts.push_back(*std::move(part));
  }
  if (parts.empty()) return std::nullopt;
  AppWrite write = edit_write(std::move(change), document, path, now, all, ArrayEdit::kInPlace);
  if (pick(20) > 0) write.change.changes.back().parts = std::move(parts);
  return write;
}

AppWrite RandomEdits::count_inside(DocumentChange change, const std::string& document,
                                   std::map<std::string, int64_t>& counted) {
  const Found now = find_path(bson::Document(document), {"e"});
  std::vector<bson::OwnedValue> all = values_in(now.value);
  const bool adds = all.empty() || pick(5) == 0;
  if (adds) {
    bson::Writer out;
    out.value("k", values_.fresh()).int32("q", 0);
    all.push_back(bson::make_document(out.finish()));
    return edit_write(std::move(change), document, {"e"}, now, all, ArrayEdit::kMoves);
  }
  ElementPart part;
  const size_t at = pick(all.size());
  const bson::OwnedValue was = all[at];
  const bson::Document element = was.view().as_document();
  if (pick(4) > 0) {
    part.path = {"q"};
    part.delta = values_.delta();
    const bson::OwnedValue sum = bson::increment(*element.find("q"), part.delta->view()).value;
    all[at] = bson::make_document(with_path(element, part.path, sum));
    counted[bson::to_json(*element.find("k"))] += part.delta->view().as_int32();
  } else {
    part.path = {"w", pick(2) == 0 ? "x" : "y"};
    all[at] = bson::make_document(with_path(element, part.path, values_.fresh()));
  }
  if (pick(2) == 0) part.position = static_cast<uint32_t>(at);
  AppWrite write = edit_write(std::move(change), document, {"e"}, now, all, ArrayEdit::kInPlace);
  write.change.changes.back().parts.push_back(std::move(part));
  return write;
}

std::optional<AppWrite> RandomEdits::append_or_pull(DocumentChange change,
                                                    const std::string& document,
                                                    const DocumentState& state) {
  const Found now = find_path(bson::Document(document), {"l"});
  std::vector<bson::OwnedValue> all;
  if (now.what == Found::kValue) all = values_in(now.value);
  const bool appends = all.empty() || pick(10) < 7;
  if (appends) {
    for (size_t i = 1 + pick(2); i > 0; --i) all.push_back(values_.fresh());
  } else {
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(pick(all.size())));
  }
  AppWrite write = edit_write(std::move(change), document, {"l"}, now, all, ArrayEdit::kMoves);
  if (appends) forget_base(write, state);
  return write;
}

std::optional<PathChange> RandomEdits::push_at_birth(const bson::Document& document) {
  PathChange push;
  push.kind = Operation::kEdit;
  push.path = kLists[pick(kLists.size())];
  push.value = values_.array();
  push.base_known = true;
  push.edit = pick(2) == 0 ? ArrayEdit::kMoves : ArrayEdit::kAddsSet;
  const bool pushes =
      pick(2) == 0 && !values_in(push.value.view()).empty() && !repeats_values(push.value.view());
  if (!pushes || find_path(document, push.path).what != Found::kMissing) return std::nullopt;
  return push;
}

std::string list_by_history(const std::map<Origin, std::vector<Published>>& log,
                            const std::string& id) {
  std::map<ElementId, bson::OwnedValue> left;
  std::set<ElementId> removed;
  for (const auto& [origin, published] : log) {
    for (const Published& each : published) {
      for (const DocumentEffects& document : each.record->documents) {
        if (id_text(document.id) != id) continue;
        for (const Effect& effect : document.effects) {
          if (effect.path != Path{"l"}) continue;
          for (const AddedElement& added : effect.edit.added) {
            left[added.place.back().id] = added.value;
          }
          removed.insert(effect.edit.removed.begin(), effect.edit.removed.end());
        }
      }
    }
  }
  std::vector<bson::OwnedValue> values;
  for (const auto& [element, value] : left) {
    if (!removed.contains(element)) values.push_back(value);
  }
  return bson::to_json(array_of_values(values).view());
}

bool is_only_settled_lists(const Incarnation& incarnation) {
  const Body& body = incarnation.body;
  const bool only_lists = incarnation.births == std::vector<Dot>(1) && !body.lists.empty() &&
                          body.registers.empty() && body.counters.empty() && body.asserted.empty();
  return only_lists && std::all_of(body.lists.begin(), body.lists.end(), [](const auto& each) {
           return each.second.settled && !is_as_assigned(each.second);
         });
}

Settings contested() {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  rule.fields = {{{"a"}, PathType::kMax},
                 {{"c", "x"}, PathType::kPrefer, {"x", "y"}},
                 {{"c", "y"}, PathType::kFirstWins},
                 {{"c", "d", "x"}, PathType::kMultiValue},
                 {{"p.q", "*"}, PathType::kLongest}};
  return settings;
}

DocumentChange change_of(DocumentChange::Kind kind, const std::string& id) {
  DocumentChange change;
  change.kind = kind;
  change.ns = "shop.carts";
  change.id = bson::make_int32(std::stoi(id));
  return change;
}

AppWrite yielding_removal(const std::string& id, const std::string& document,
                          std::mt19937_64& random) {
  AppWrite write{change_of(DocumentChange::Kind::kRemove, id), std::nullopt};
  write.change.removal = random() % 5 > 0 ? Removal::kUpdateWins : Removal::kExpiry;
  if (random() % 20 > 0) write.change.document = document;  // else nobody knows what it was
  return write;
}

AppWrite write_of_id(RandomValues& values, const std::string& id, const std::string& document) {
  AppWrite write{change_of(DocumentChange::Kind::kUpdate, id), {}};
  PathChange set;
  set.path = {"_id"};
  set.value = values.id(id);
  write.after = with_path(bson::Document(document), set.path, set.value);
  write.change.changes.push_back(std::move(set));
  return write;
}

AppWrite MergeWorld::creation(const std::string& id) {
  return creation(id, options_.add_only || chance(0.6));
}

AppWrite MergeWorld::creation(const std::string& id, bool insert) {
  AppWrite write{
      change_of(insert ? DocumentChange::Kind::kInsert : DocumentChange::Kind::kUpsert, id), {}};
  std::string document = bson::Writer().value("_id", values_.id(id)).finish();
  auto put = [&](const Path& path, const bson::OwnedValue& value) {
    document = with_path(bson::Document(document), path, value);
  };
  if (options_.add_only) put({"e"}, array_of_values({}));
  if (options_.add_only || chance(0.5)) put({"n"}, bson::make_int32(options_.add_only ? 0 : 5));
  if (chance(0.5)) put({"a"}, values_.value());
  if (chance(0.3)) put({"c"}, bson::make_document(bson::Writer().finish()));
  if (chance(0.5)) put({"c", "x"}, values_.value());
  if (chance(0.3)) put({"c", "d", "n"}, bson::make_int32(1));
  if (!options_.add_only && chance(0.5)) put(kLists[pick(kLists.size())], values_.array());
  if (!insert) {
    PathChange inc;
    inc.kind = Operation::kIncrement;
    inc.path = chance(0.5) ? Path{"n"} : Path{"c", "n"};
    inc.value = values_.delta();
    put(inc.path, inc.value);
    write.change.changes.push_back(inc);
    std::optional<PathChange> push = arrays_.push_at_birth(bson::Document(document));
    if (push) {
      put(push->path, push->value);
      write.change.changes.push_back(*std::move(push));
    }
  }
  write.change.document = document;
  write.after = document;
  return write;
}

}  // namespace outrigger::merge
