// Rows, as FORMATS.md describes them.
#include <algorithm>

#include "replication/merge/inside.h"
#include "replication/merge/row.h"
#include "replication/testing/formats_testing.h"

namespace outrigger::formats {
namespace {

using merge::Body;
using merge::Content;
using merge::DocumentState;
using merge::Incarnation;
using merge::Register;

bool same(const Register& a, const Register& b) {
  return a.stamp == b.stamp && a.content == b.content && a.value == b.value &&
         a.fields.bytes == b.fields.bytes && a.baseline == b.baseline;
}

bool same(const merge::List& a, const merge::List& b) {
  const auto same_element = [](const merge::ListElement& x, const merge::ListElement& y) {
    return x.place == y.place && x.moved == y.moved && x.as_set == y.as_set &&
           x.changed == y.changed && x.value == y.value && x.twin_at == y.twin_at &&
           x.after == y.after;
  };
  const auto same_taken = [](const merge::TakenValue& x, const merge::TakenValue& y) {
    return x.by == y.by && x.value == y.value;
  };
  return a.asserted == b.asserted && a.hidden == b.hidden && a.settled == b.settled &&
         a.hash == b.hash &&
         std::equal(a.taken.begin(), a.taken.end(), b.taken.begin(), b.taken.end(), same_taken) &&
         std::equal(a.elements.begin(), a.elements.end(), b.elements.begin(), b.elements.end(),
                    same_element);
}

bool same_lists(const Body& a, const Body& b) {
  const auto same_list = [](const auto& x, const auto& y) {
    return x.first == y.first && same(x.second, y.second);
  };
  return std::equal(a.lists.begin(), a.lists.end(), b.lists.begin(), b.lists.end(), same_list);
}

bool same_contests(const Body& a, const Body& b) {
  const auto same_contender = [](const merge::Contender& x, const merge::Contender& y) {
    return x.dot == y.dot && x.absent == y.absent && x.value == y.value && x.rule == y.rule;
  };
  const auto same_contest = [&](const auto& x, const auto& y) {
    const auto& of = x.second.contenders;
    const auto& others = y.second.contenders;
    return x.first == y.first &&
           std::equal(of.begin(), of.end(), others.begin(), others.end(), same_contender);
  };
  return std::equal(a.contests.begin(), a.contests.end(), b.contests.begin(), b.contests.end(),
                    same_contest);
}

bool same(const Body& a, const Body& b) {
  auto there = b.registers.begin();
  for (const auto& [path, reg] : a.registers) {
    if (there == b.registers.end() || there->first != path || !same(reg, there->second)) {
      return false;
    }
    ++there;
  }
  return there == b.registers.end() && a.counters == b.counters && same_lists(a, b) &&
         a.replaced == b.replaced && same_contests(a, b) && a.asserted == b.asserted &&
         a.floor.bytes == b.floor.bytes && a.floor_stamp == b.floor_stamp;
}

bool same(const Incarnation& a, const Incarnation& b) {
  const auto same_removal = [](const merge::NotedRemoval& x, const merge::NotedRemoval& y) {
    return x.dot == y.dot && x.why == y.why;
  };
  return a.births == b.births && same(a.body, b.body) && a.seen == b.seen &&
         a.holding == b.holding && a.overwritten == b.overwritten &&
         std::equal(a.removals.begin(), a.removals.end(), b.removals.begin(), b.removals.end(),
                    same_removal);
}

bool same(const DocumentState& a, const DocumentState& b) {
  const auto same_all = [](const auto& all, const auto& others) {
    return std::equal(all.begin(), all.end(), others.begin(), others.end(),
                      [](const Incarnation& x, const Incarnation& y) { return same(x, y); });
  };
  return a.detached == b.detached && a.opaque == b.opaque &&
         same_all(a.incarnations, b.incarnations) && same_all(a.gone, b.gone);
}

Register holding(const Dot& stamp, Content content) {
  Register reg;
  reg.stamp = stamp;
  reg.content = content;
  return reg;
}

// Nothing is known but what the functions say.
DocumentState born(std::vector<Dot> births) {
  DocumentState state;
  state.incarnations.emplace_back().births = std::move(births);
  return state;
}

DocumentState opaque() {
  DocumentState state;
  state.opaque = true;
  return state;
}

DocumentState inserted(bool is_opaque) {
  DocumentState state = born({Dot{5, kOslo}});
  state.incarnations.front().body.registers[{}] = holding(Dot{5, kOslo}, Content::kShown);
  state.opaque = is_opaque;
  return state;
}

DocumentState one_field_set() {
  DocumentState state = born({Dot()});
  state.incarnations.front().body.registers[{"a"}] = holding(Dot{5, kOslo}, Content::kShown);
  return state;
}

DocumentState claimed() {
  DocumentState state = one_field_set();
  state.incarnations.front().holding.since = Dot{5, kOslo};
  state.incarnations.front().holding.counts.raise(kOslo, 5);
  return state;
}

DocumentState overwritten() {
  DocumentState state = born({Dot()});
  state.incarnations.front().body.registers[{"a"}] = holding(Dot{8, kOslo}, Content::kShown);
  state.incarnations.front().overwritten.raise(kRome, 6);
  return state;
}

DocumentState out_of_bounds() {
  DocumentState state = born({Dot()});
  Body& body = state.incarnations.front().body;
  body.registers[{"n"}] = holding(Dot(), Content::kValue);
  body.registers[{"n"}].value = bson::make_int32(10);
  body.counters[{"n"}] = {{Dot{5, kOslo}, 5, bson::make_int32(-7), Bounds{0, 10}},
                          {Dot{8, kRome}, 8, bson::make_int32(-6), Bounds{0, 10}}};
  return state;
}

DocumentState counted(merge::CounterEntries entries) {
  DocumentState state = born({Dot()});
  Body& body = state.incarnations.front().body;
  body.registers[{"n"}] = holding(Dot(), Content::kValue);
  body.registers[{"n"}].value = bson::make_int32(10);
  body.counters[{"n"}] = std::move(entries);
  return state;
}

DocumentState one_count() {
  return counted({{Dot{hlc_from_ms(44), kOslo}, hlc_from_ms(45), bson::make_int32(-8)},
                  {Dot{hlc_from_ms(300) + 7, kRome}, hlc_from_ms(300) + 7, bson::make_int32(300)}});
}

DocumentState summed() {
  DocumentState state = counted(
      {{Dot{5, kOslo}, 6, bson::make_int32(-8)}, {Dot{8, kRome}, 8, bson::make_int32(300)}});
  state.incarnations.front().body.counters[{"total"}] = {{Dot{8, kRome}, 8, bson::make_int64(1)}};
  return state;
}

DocumentState upserted() {
  DocumentState state = born({Dot{5, kOslo}});
  state.incarnations.front().body.floor_stamp = Dot{5, kOslo};
  return state;
}

DocumentState pushed() {
  DocumentState state = born({Dot()});
  const std::string array = bson::Writer().int32("0", 1).int32("1", 2).finish();
  merge::List& list = state.incarnations.front().body.lists[{"l"}];
  list = merge::list_of({bson::Type::kArray, array});
  merge::ListElement& added = list.elements.emplace_back();
  added.place.push_back({Lane::kBack, {Dot{5, kOslo}, 0}});
  added.value = bson::make_int32(7);
  list.asserted = Dot{5, kOslo};
  return state;
}

DocumentState moved() {
  DocumentState state = pushed();
  merge::List& list = state.incarnations.front().body.lists.at({"l"});
  list.elements.front().moved.push_back({Lane::kBack, {Dot{8, kRome}, 0}});
  std::rotate(list.elements.begin(), list.elements.begin() + 1, list.elements.end());
  list.asserted = Dot{8, kRome};
  return state;
}

DocumentState taken() {
  DocumentState state = born({Dot()});
  const std::string array = bson::Writer().int32("0", 1).int32("1", 2).finish();
  merge::List& list = state.incarnations.front().body.lists[{"l"}];
  list = merge::list_of({bson::Type::kArray, array});
  list.elements.erase(list.elements.begin());
  for (const Hlc at : {8, 9}) {
    merge::ListElement& added = list.elements.emplace_back();
    added.place.push_back({Lane::kBack, {Dot{at, kRome}, 0}});
    added.as_set = true;
    added.value = bson::make_int32(1);
  }
  list.elements.back().after.raise(kOslo, 5);
  list.asserted = Dot{9, kRome};
  list.taken = {{Dot{5, kOslo}, bson::make_int32(1)}};
  return state;
}

DocumentState replacing() {
  DocumentState state = born({Dot{8, kOslo}});
  Body& body = state.incarnations.front().body;
  body.registers[{"l"}] = holding(Dot{9, kOslo}, Content::kShown);
  body.replaced[{"l"}].raise(kRome, 5);
  body.floor_stamp = Dot{8, kOslo};
  return state;
}

DocumentState inside() {
  DocumentState state = born({Dot()});
  const std::string item = bson::Writer().int32("q", 1).finish();
  const std::string array = bson::Writer().document("0", bson::Document(item)).finish();
  merge::List& list = state.incarnations.front().body.lists[{"l"}];
  list = merge::list_of({bson::Type::kArray, array});
  list.asserted = Dot{5, kOslo};
  Effect add;
  add.kind = Operation::kIncrement;
  add.path = {"l", element_name({Dot(), 0}), "q"};
  add.entry = {Dot{5, kOslo}, 5, bson::make_int32(2)};
  const DocumentEffects effects{"t.a", bson::make_int32(1), {add}};
  merge::apply_in_element(list.elements.front(), add, {Dot{5, kOslo}, nullptr, effects});
  merge::show_inside(list.elements.front());
  return state;
}

DocumentState names() {
  DocumentState state = pushed();
  merge::settle(state.incarnations.front().body.lists.at({"l"}));
  return state;
}

DocumentState detached() {
  DocumentState state = born({Dot{5, kOslo}});
  state.detached = true;
  Body& body = state.incarnations.front().body;
  Register root = holding(Dot{5, kOslo}, Content::kDocument);
  root.fields = merge::SharedBytes::of(bson::Writer().int32("_id", 1).finish());
  body.registers[{}] = std::move(root);
  Register value = holding(Dot{8, kRome}, Content::kValue);
  value.value = bson::make_int32(9);
  value.baseline = {{Dot{6, kOslo}, 7, bson::make_int32(3)}};
  body.registers[{"a"}] = std::move(value);
  body.registers[{"c"}] = holding(Dot{6, kOslo}, Content::kDocument);
  body.registers[{"c", "x"}] = holding(Dot{7, kOslo}, Content::kAbsent);
  body.counters[{"a"}] = {{Dot{6, kOslo}, 8, bson::make_int32(4)}};
  body.asserted[{"c"}] = Dot{7, kOslo};
  Incarnation& second = state.incarnations.emplace_back();
  second.births = {Dot{7, kRome}};
  second.body.floor = merge::SharedBytes::of(bson::Writer().int32("_id", 1).finish());
  second.body.floor_stamp = Dot{7, kRome};
  return state;
}

DocumentState gone() {
  DocumentState state;
  Incarnation& gone = state.gone.emplace_back();
  gone.births = {Dot{5, kOslo}};
  gone.body.floor = merge::SharedBytes::of(bson::Writer().int32("_id", 1).finish());
  gone.body.floor_stamp = Dot{5, kOslo};
  gone.removals = {{Dot{8, kOslo}, Removal::kUpdateWins}};
  gone.seen.raise(kOslo, 8);
  return state;
}

Example row_example(const std::string& name, DocumentState (*make)()) {
  return {name, [make] { return Parts{merge::encode_row(make())}; },
          [make](const Parts& parts) {
            const auto state = merge::load_row(parts.at(0));
            ASSERT_TRUE(state) << state.error().message();
            EXPECT_TRUE(same(*state, make()));
            EXPECT_EQ(merge::encode_row(*state), parts.at(0));
          }};
}

}  // namespace

std::vector<Example> row_examples() {
  return {
      row_example("row-opaque", opaque),
      row_example("row-inserted", [] { return inserted(false); }),
      row_example("row-inserted-opaque", [] { return inserted(true); }),
      row_example("row-field-set", one_field_set),
      row_example("row-claimed", claimed),
      row_example("row-overwritten", overwritten),
      row_example("row-bounded", out_of_bounds),
      row_example("row-count", one_count),
      row_example("row-sums", summed),
      row_example("row-upserted", upserted),
      row_example("row-pushed", pushed),
      row_example("row-moved", moved),
      row_example("row-taken", taken),
      row_example("row-replacing", replacing),
      row_example("row-inside", inside),
      row_example("row-names", names),
      row_example("row-detached", detached),
      row_example("row-gone", gone),
  };
}

}  // namespace outrigger::formats
