#include "replication/merge/worlds/merge_world_values.h"

#include <algorithm>
#include <set>

#include "replication/bson/number.h"
#include "replication/merge/worlds/merge_world.h"

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

std::string list_by_history(const std::map<Origin, std::vector<Published>>& log,
                            const std::string& id) {
  std::map<ElementId, bson::OwnedValue> left;
  std::map<ElementId, Place> places;
  std::set<ElementId> removed;
  const auto place = [&](const ElementId& element, const Place& at) {
    Place& last = places[element];
    if (last.empty() || last.back().id.dot < at.back().id.dot) last = at;
  };
  for (const auto& [origin, published] : log) {
    for (const Published& each : published) {
      for (const DocumentEffects& document : each.record->documents) {
        if (id_text(document.id) != id) continue;
        for (const Effect& effect : document.effects) {
          if (effect.path != Path{"l"}) continue;
          for (const AddedElement& added : effect.edit.added) {
            left[added.place.back().id] = added.value;
            place(added.place.back().id, added.place);
          }
          for (const MovedElement& moved : effect.edit.moved) place(moved.id, moved.to);
          removed.insert(effect.edit.removed.begin(), effect.edit.removed.end());
        }
      }
    }
  }
  std::vector<ElementId> order;
  for (const auto& [element, value] : left) {
    if (!removed.contains(element)) order.push_back(element);
  }
  std::sort(order.begin(), order.end(), [&](const ElementId& a, const ElementId& b) {
    return comes_before(places.at(a), places.at(b));
  });
  std::vector<bson::OwnedValue> values;
  for (const ElementId& element : order) values.push_back(left.at(element));
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

Settings bounded(size_t site) {
  const std::optional<Bounds> kinds[] = {Bounds{0, 4}, Bounds{-2, 1}, std::nullopt};
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  for (const Path& path : {Path{"n"}, Path{"c", "n"}, Path{"c", "d", "n"}}) {
    PathRule& field = rule.fields.emplace_back();
    field.pattern = path;
    field.bounds = kinds[site % 3];
    field.type = field.bounds ? PathType::kBounded : PathType::kCounter;
  }
  return settings;
}

Settings removals_win() {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  for (const Path& path : kLists) {
    PathRule& field = rule.fields.emplace_back();
    field.pattern = path;
    field.type = PathType::kSet;
    field.removals_win = true;
  }
  return settings;
}

Settings contested() {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  rule.fields = {{{"a"}, PathType::kMax},
                 {{"c", "x"}, PathType::kPrefer, {"x", "y"}},
                 {{"c", "y"}, PathType::kFirstWins},
                 {{"c", "d", "x"}, PathType::kUnion},
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
