// Verbs for tests of merging: sites a, b and c share one document "d" (and "e"); every write gets
// the next stamp of an imaginary common clock, so the order of lines is the order of stamps; what
// was not exchanged in between is concurrent.
#pragma once

#include <gtest/gtest.h>

#include "replication/bson/fields.h"
#include "replication/bson/number.h"
#include "replication/merge/worlds/merge_world.h"
#include "replication/record/path.h"

namespace outrigger::merge {

using Fields = std::vector<std::pair<std::string, bson::OwnedValue>>;

inline bson::OwnedValue i32(int32_t v) { return bson::make_int32(v); }
inline bson::OwnedValue text(std::string_view v) { return bson::make_string(v); }
inline bson::OwnedValue doc(const Fields& fields) {
  bson::Writer w;
  for (const auto& [name, value] : fields) w.value(name, value);
  return bson::make_document(w.finish());
}
inline bson::OwnedValue array(const std::vector<bson::OwnedValue>& items) {
  bson::Writer w;
  for (size_t i = 0; i < items.size(); ++i) w.value(bson::index_name(i), items[i]);
  return {bson::Type::kArray, w.finish()};
}
inline Path path_of(const std::string& dotted) {
  Path path(1);
  for (const char c : dotted) {
    if (c == '.') {
      path.emplace_back();
    } else {
      path.back().push_back(c);
    }
  }
  return path;
}

// By which every path counts within bounds; without any, every one counts.
inline Policy bounded(std::optional<Bounds> bounds) {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  PathRule& field = rule.fields.emplace_back();
  field.pattern = {"**"};
  field.type = bounds ? PathType::kBounded : PathType::kCounter;
  field.bounds = bounds;
  return Policy(settings);
}

class MergeTest : public ::testing::Test {
 protected:
  using Kind = DocumentChange::Kind;

  void create(WorldSite& site, Kind kind, const Fields& fields, Fields increments = {}) {
    AppWrite write = make(kind);
    Fields all = {{"_id", text(id_)}};
    all.insert(all.end(), fields.begin(), fields.end());
    for (const auto& [name, delta] : increments) {
      all.emplace_back(name, delta);
      PathChange inc;
      inc.kind = Operation::kIncrement;
      inc.path = {name};
      inc.value = delta;
      write.change.changes.push_back(inc);
    }
    write.change.document = doc(all).bytes;
    write.after = write.change.document;
    if (kind == Kind::kReplace && site.policy != nullptr) {
      const MergeRules rules = site.policy->merge_rules(write.change.ns);
      write.change.is_version =
          bson::has_path(doc(all).view().as_document(), rules.version_field());
    }
    run(site, write);
  }
  void insert(WorldSite& site, const Fields& fields) { create(site, Kind::kInsert, fields); }
  void upsert(WorldSite& site, const Fields& fields, Fields increments = {}) {
    create(site, Kind::kUpsert, fields, std::move(increments));
  }
  void replace(WorldSite& site, const Fields& fields) { create(site, Kind::kReplace, fields); }
  void remove(WorldSite& site) { run(site, make(Kind::kRemove)); }
  // A removal that gives way to updates it had not seen.
  void yield(WorldSite& site, Removal why = Removal::kUpdateWins) {
    AppWrite write = make(Kind::kRemove);
    write.change.removal = why;
    write.change.document = std::string(stored(site).bytes());
    run(site, write);
  }
  void set(WorldSite& site, const Path& path, const bson::OwnedValue& value) {
    PathChange change;
    change.path = path;
    change.value = value;
    AppWrite write = make(Kind::kUpdate);
    write.after = with_path(stored(site), path, value);
    write.change.changes.push_back(change);
    run(site, write);
  }
  void set(WorldSite& site, const std::string& path, const bson::OwnedValue& value) {
    set(site, path_of(path), value);
  }
  void unset(WorldSite& site, const std::string& path) {
    PathChange change;
    change.kind = Operation::kUnset;
    change.path = path_of(path);
    AppWrite write = make(Kind::kUpdate);
    write.after = with_path(stored(site), change.path, std::nullopt);
    write.change.changes.push_back(change);
    run(site, write);
  }
  void inc(WorldSite& site, const std::string& path, const bson::OwnedValue& delta) {
    PathChange change;
    change.kind = Operation::kIncrement;
    change.path = path_of(path);
    change.value = delta;
    const Found now = find_path(stored(site), change.path);
    if (!base_known(site.load(id_), change.path)) {
      change.base_known = true;
      if (now.what == Found::kValue) change.base = bson::OwnedValue(now.value);
    }
    AppWrite write = make(Kind::kUpdate);
    write.after = with_path(
        stored(site), change.path,
        now.what == Found::kValue ? bson::increment(now.value, delta.view()).value : delta);
    write.change.changes.push_back(change);
    run(site, write);
  }
  void inc(WorldSite& site, const std::string& path, int32_t delta) { inc(site, path, i32(delta)); }

  PathChange edit_of(WorldSite& site, const std::string& path,
                     const std::vector<bson::OwnedValue>& after, ArrayEdit how) {
    PathChange change;
    change.kind = Operation::kEdit;
    change.path = path_of(path);
    change.value = array(after);
    change.base_known = true;
    const Found now = find_path(stored(site), change.path);
    if (now.what == Found::kValue) change.base = bson::OwnedValue(now.value);
    change.edit = how;
    return change;
  }
  // `beside`: what else the update sets.
  void edit(WorldSite& site, const PathChange& change, const Fields& beside = {}) {
    AppWrite write = make(Kind::kUpdate);
    write.after = with_path(stored(site), change.path, change.value);
    write.change.changes.push_back(change);
    for (const auto& [name, value] : beside) {
      PathChange& set = write.change.changes.emplace_back();
      set.path = {name};
      set.value = value;
      write.after = with_path(bson::Document(*write.after), set.path, value);
    }
    run(site, write);
  }
  void edit(WorldSite& site, const std::string& path, const std::vector<bson::OwnedValue>& after,
            ArrayEdit how = ArrayEdit::kMoves) {
    edit(site, edit_of(site, path, after, how));
  }
  // As the request and the document afterwards tell it.
  void push_unseen(WorldSite& site, const std::string& path, const bson::OwnedValue& item) {
    std::vector<bson::OwnedValue> all = items(site, path);
    all.push_back(item);
    PathChange change = edit_of(site, path, all, ArrayEdit::kMoves);
    change.base_may_be_missing = all.size() == 1;
    if (all.size() == 1) change.base = array({});
    edit(site, change);
  }
  std::vector<bson::OwnedValue> items(const WorldSite& site, const std::string& path) const {
    const Found now = find_path(stored(site), path_of(path));
    return now.what == Found::kValue ? values_in(now.value) : std::vector<bson::OwnedValue>();
  }
  void push(WorldSite& site, const std::string& path, const bson::OwnedValue& item) {
    std::vector<bson::OwnedValue> all = items(site, path);
    all.push_back(item);
    edit(site, path, all);
  }
  void add_to_set(WorldSite& site, const std::string& path, const bson::OwnedValue& item) {
    std::vector<bson::OwnedValue> all = items(site, path);
    all.push_back(item);
    edit(site, path, all, ArrayEdit::kAddsSet);
  }
  void take(WorldSite& site, const std::string& path, const bson::OwnedValue& item) {
    std::vector<bson::OwnedValue> all = items(site, path);
    std::erase(all, item);
    edit(site, path, all);
  }
  void set_element(WorldSite& site, const std::string& path, size_t at,
                   const bson::OwnedValue& value) {
    std::vector<bson::OwnedValue> all = items(site, path);
    all.at(at) = value;
    edit(site, path, all, ArrayEdit::kInPlace);
  }
  // {$set: {"path.at.inside": value}}, without a value $unset.
  void set_inside(WorldSite& site, const std::string& path, size_t at, const std::string& inside,
                  const std::optional<bson::OwnedValue>& value) {
    write_inside(site, path, at, {at_position(at), path_of(inside), {}}, value);
  }
  // {$inc: {"path.at.inside": delta}}
  void inc_inside(WorldSite& site, const std::string& path, size_t at, const std::string& inside,
                  const bson::OwnedValue& delta) {
    const bson::OwnedValue element = items(site, path).at(at);
    const Found now = find_path(element.view().as_document(), path_of(inside));
    const bool counts = now.what == Found::kValue;
    write_inside(site, path, at, {at_position(at), path_of(inside), delta},
                 counts ? bson::increment(now.value, delta.view()).value : delta);
  }
  void inc_inside(WorldSite& site, const std::string& path, size_t at, const std::string& inside,
                  int32_t delta) {
    inc_inside(site, path, at, inside, i32(delta));
  }
  // {$set: {"path.at": value}}
  void give_element(WorldSite& site, const std::string& path, size_t at,
                    const bson::OwnedValue& value) {
    std::vector<bson::OwnedValue> all = items(site, path);
    all.at(at) = value;
    PathChange change = edit_of(site, path, all, ArrayEdit::kInPlace);
    change.parts.push_back({at_position(at), {}, {}});
    edit(site, change);
  }

  // Every site gets every record; no order is promised between origins.
  void exchange() {
    for (int round = 0; round < 3; ++round) exchange_once();
  }
  void exchange_once() {
    for (WorldSite* to : all_) {
      for (WorldSite* from : all_) pull(*to, *from);
    }
  }
  void pull(WorldSite& to, WorldSite& from) {
    for (const auto& [origin, records] : from.log) {
      for (const Published& p : records) {
        if (p.record->hlc > to.vector.get(origin) && to.deliverable(p)) to.receive(p);
      }
    }
  }
  // In one batch.
  void pull_at_once(WorldSite& to, WorldSite& from) {
    for (const auto& [origin, records] : from.log) {
      for (const Published& p : records) {
        if (p.record->hlc > to.vector.get(origin) && to.deliverable(p)) to.receive(p, true);
      }
    }
    to.end_batch();
  }
  // Everything becomes stable; no site remembers anything but what outlives that.
  void settle_all() {
    for (int round = 0; round < 3; ++round) {
      exchange();
      for (WorldSite* to : all_) {
        for (WorldSite* from : all_) to->stability->hear(from->report());
      }
      for (WorldSite* site : all_) site->collect(true);
    }
  }
  // Nothing does.
  void forget() {
    settle_all();
    for (WorldSite* site : all_) ASSERT_TRUE(site->rows.empty());
  }
  // The same, of one site alone; it has been told that all is stable.
  void forget_at(WorldSite& site) {
    for (int round = 0; round < 3; ++round) {
      for (WorldSite* from : all_) site.stability->hear(from->report());
      site.collect(true);
    }
  }

  bson::Document stored(const WorldSite& site) const {
    const auto at = site.store.find(id_);
    return at == site.store.end() ? bson::Document() : bson::Document(at->second);
  }
  void shows(const WorldSite& site, const Fields& fields) const {
    Fields all = {{"_id", text(id_)}};
    all.insert(all.end(), fields.begin(), fields.end());
    const std::string expected = doc(all).bytes;
    EXPECT_TRUE(bson::equal_unordered(bson::Document(expected), stored(site)))
        << "expected " << bson::to_json(bson::Document(expected)) << "\nfound    "
        << bson::to_json(stored(site));
  }
  // After an exchange, everywhere.
  void all_show(const Fields& fields) {
    exchange();
    for (const WorldSite* site : all_) shows(*site, fields);
  }
  void all_gone() {
    exchange();
    for (const WorldSite* site : all_) EXPECT_FALSE(site->store.contains(id_));
  }
  static std::vector<Loss> losses_of(const WorldSite& site) {
    std::vector<Loss> losses;
    for (const auto& [id, noted] : site.losses) {
      losses.insert(losses.end(), noted.begin(), noted.end());
    }
    return losses;
  }
  // What each site noted as lost: kind, path and value, one line each.
  static std::vector<std::string> lost(const WorldSite& site) {
    std::vector<std::string> lines;
    for (const Loss& loss : losses_of(site)) {
      std::string line = std::to_string(static_cast<int>(loss.kind));
      for (const std::string& name : loss.path) {
        line += "/" + (is_element_name(name) ? path_text({name}) : name);
      }
      const std::string value = bson::to_json(loss.value.view());
      lines.push_back(line + (loss.shape == Shape::kAbsent ? " unset" : " " + value));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  void all_lost(const std::vector<std::string>& lines) const {
    for (const WorldSite* site : all_) EXPECT_EQ(lost(*site), lines);
  }

  static std::optional<uint32_t> at_position(size_t at) { return static_cast<uint32_t>(at); }
  void write_inside(WorldSite& site, const std::string& path, size_t at, ElementPart part,
                    const std::optional<bson::OwnedValue>& value) {
    std::vector<bson::OwnedValue> all = items(site, path);
    const bson::OwnedValue was = all.at(at);
    all.at(at) = bson::make_document(with_path(was.view().as_document(), part.path, value));
    PathChange change = edit_of(site, path, all, ArrayEdit::kInPlace);
    change.parts.push_back(std::move(part));
    edit(site, change);
  }

  AppWrite make(Kind kind) const {
    AppWrite write;
    write.change.kind = kind;
    write.change.ns = "shop.carts";
    write.change.id = text(id_);
    write.change.keys = attested_;
    return write;
  }
  void run(WorldSite& site, const AppWrite& write) { run(site, std::vector<AppWrite>{write}); }
  void run(WorldSite& site, std::vector<AppWrite> writes) {
    site.clock.set_wall_ms(++now_ms_);
    site.begin(std::move(writes));
    site.settle(site.in_flight() - 1, true);
    site.correct();
    site.publish(false);
  }

  std::string id_ = "d";
  Keys attested_ = Keys::kNone;  // of what is written
  int64_t now_ms_ = 1'000'000;
  WorldSite a_{'A', 3, 0};
  WorldSite b_{'B', 3, 0};
  WorldSite c_{'C', 3, 0};
  const std::vector<WorldSite*> all_ = {&a_, &b_, &c_};
};

// Of one array, "l", that all sites have.
class ArrayTest : public MergeTest {
 protected:
  using Items = std::vector<bson::OwnedValue>;
  void start(const Items& items) {
    insert(a_, {{"l", array(items)}});
    exchange();
  }
  void all_hold(const Items& items) { all_show({{"l", array(items)}}); }
};

}  // namespace outrigger::merge
