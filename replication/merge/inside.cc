#include "replication/merge/inside.h"

#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/bson/number.h"
#include "replication/merge/types/paths.h"
#include "replication/merge/types/row_maps.h"
#include "replication/merge/view.h"

namespace outrigger::merge {
namespace {

const Path kElement = {""};

Path path_in_element(const Path& path) {
  Path inside = kElement;
  inside.insert(inside.end(), path.begin() + static_cast<std::ptrdiff_t>(element_in(path)) + 1,
                path.end());
  return inside;
}

std::string wrapped(const bson::Value& value) { return bson::Writer().value("", value).finish(); }

bool is_equal(const bson::Value& a, const bson::Value& b) {
  const bool documents = a.type == bson::Type::kDocument && b.type == bson::Type::kDocument;
  return a == b || (documents && bson::equal_unordered(a.as_document(), b.as_document()));
}

bool is_whole(const bson::Value& value) {
  return value.type == bson::Type::kInt32 || value.type == bson::Type::kInt64;
}

// What was added to one whole number to make it another; to none.
std::optional<bson::OwnedValue> added_between(const std::optional<bson::Value>& was,
                                              const bson::Value& now) {
  if (!is_whole(now) || (was && !is_whole(*was))) return std::nullopt;
  if (!was) return bson::OwnedValue(now);
  const bson::Sum difference = bson::add(now, bson::negate(*was).view());
  if (difference.clamped) return std::nullopt;
  const int64_t delta = *difference.value.view().to_int64();
  const bool is_narrow = now.type == bson::Type::kInt32 && delta >= INT32_MIN && delta <= INT32_MAX;
  return is_narrow ? bson::make_int32(static_cast<int32_t>(delta)) : bson::make_int64(delta);
}

// Of this element alone: others may share what stands in it.
Body& own_body(ListElement& element) {
  const bool is_shared = element.inside == nullptr || element.inside.use_count() > 1;
  if (is_shared) element.inside = std::make_shared<ElementBody>(body_in(element));
  return const_cast<ElementBody&>(static_cast<const ElementBody&>(*element.inside)).body();
}

void differ(const bson::Document& before, const bson::Document& after, Path& path,
            std::vector<ElementPart>& parts) {
  bson::FieldFinder olds(before);
  bson::FieldFinder news(after);
  const auto look = [&](const bson::Element& field, const std::optional<bson::Value>& other) {
    if (other && *other == field.value) return;
    path.emplace_back(field.name);
    const bool both = other && other->type == bson::Type::kDocument &&
                      field.value.type == bson::Type::kDocument && path.size() < kPathDepthMax;
    if (both) {
      differ(other->as_document(), field.value.as_document(), path, parts);
    } else {
      parts.push_back({std::nullopt, path, std::nullopt});
    }
    path.pop_back();
  };
  for (const bson::Element& field : after) look(field, olds.find(field.name));
  for (const bson::Element& field : before) {
    if (!news.find(field.name)) look(field, std::nullopt);
  }
}

class InsideMaker {
 public:
  InsideMaker(const ListElement& before, const bson::Value& after, const Path& array,
              const LocalContext& context)
      : element_(before),
        after_(after),
        array_(array),
        context_(context),
        body_(body_in(before)),
        old_bytes_(wrapped(before.value.view())),
        new_bytes_(wrapped(after)),
        old_(bson::Document(old_bytes_)),
        new_(bson::Document(new_bytes_)) {}

  void name(const ElementPart& part) {
    Path path = {""};
    path.insert(path.end(), part.path.begin(), part.path.end());
    bool is_cut = false;
    for (bson::PathFinder* finder : {&old_, &new_}) {
      const bson::PathFinder::Reached reached = finder->walk(path);
      if (reached.names == path.size()) continue;
      if (!reached.value || reached.value->type != bson::Type::kArray) continue;
      path.resize(reached.names);  // an array in an element is one value
      is_cut = true;
    }
    Named& named = named_[path];
    if (part.delta && !is_cut) {
      named.deltas.push_back(part.delta->view());
    } else {
      named.only_counts = false;
    }
  }

  std::optional<std::vector<Effect>> make() {
    const Path* above = nullptr;
    for (const auto& [path, named] : named_) {
      if (above != nullptr && has_prefix(path, *above)) continue;
      above = &path;
      write(path, named);
    }
    if (!leads_to_it()) {
      effects_.clear();
      give({""}, after_);
    }
    // Of an element in which nothing was edited yet.
    const bool is_whole = effects_.size() == 1 && is_element_name(effects_.front().path.back()) &&
                          effects_.front().kind == Operation::kAssign;
    if (is_whole && element_.inside == nullptr) return std::nullopt;
    return std::move(effects_);
  }

 private:
  // What operators did at a path of this element, or of others: without a position nobody but the
  // store knows. So a value that differs by just what was added elsewhere is taken to be a sum.
  struct Named {
    std::vector<bson::Value> deltas;
    bool only_counts = true;
  };

  void write(const Path& path, const Named& named) {
    const auto was = old_.find(path);
    const auto now = new_.find(path);
    if (was == now) return;
    if (!now) {
      Effect& unset = add(Operation::kUnset, path);
      unset.baselines = seen_below(path);
      return;
    }
    const auto adds = [&](const bson::Value& delta) {
      return was ? was->is_number() && bson::increment(*was, delta).value.view() == *now
                 : delta == *now;
    };
    for (const bson::Value& delta : named.deltas) {
      if (adds(delta)) return count(path, delta);
    }
    if (named.only_counts && std::all_of(named.deltas.begin(), named.deltas.end(), is_whole)) {
      const auto all = added_between(was, *now);  // by several statements of a transaction
      if (all && adds(all->view())) return count(path, all->view());
    }
    give(path, *now);
  }

  void give(const Path& path, const bson::Value& value) {
    Effect& assign = add(Operation::kAssign, path);
    assign.value = bson::OwnedValue(value);
    assign.baselines = seen_below(path);
  }

  void count(const Path& path, const bson::Value& delta) {
    const auto found = body_.counters.find(path);
    const CounterEntries& entries = found == body_.counters.end() ? kNoEntries : found->second;
    const Register* own = governor_of(body_, path).own();
    add(Operation::kIncrement, path).entry = counted(delta, own, entries, context_);
  }

  Effect& add(Operation kind, const Path& inside) {
    Effect& effect = effects_.emplace_back();
    effect.kind = kind;
    effect.path = path_of_inside(array_, element_.id(), inside);
    return effect;
  }

  [[nodiscard]] std::vector<Baseline> seen_below(const Path& path) const {
    std::vector<Baseline> seen;
    for_each_below(body_.counters, path, [&](const Path& at, const CounterEntries& entries) {
      seen.push_back({path_of_inside(array_, element_.id(), at), entries});
    });
    return seen;
  }

  [[nodiscard]] bool leads_to_it() const {
    ListElement check = element_;
    DocumentEffects of;
    of.effects = effects_;
    for (const Effect& effect : effects_) {
      apply_in_element(check, effect, Authorship(context_.dot, nullptr, of));
    }
    show_inside(check);
    return is_equal(check.value.view(), after_);
  }

  const ListElement& element_;
  const bson::Value after_;
  const Path& array_;
  const LocalContext& context_;
  const Body body_;
  const std::string old_bytes_;
  const std::string new_bytes_;
  bson::PathFinder old_;
  bson::PathFinder new_;
  std::map<Path, Named> named_;
  std::vector<Effect> effects_;
};

}  // namespace

bson::OwnedValue ElementBody::shown() const {
  const std::string document = shown_document(body_);
  const auto value = bson::Document(document).first();
  return value ? bson::OwnedValue(value->value) : bson::OwnedValue();  // an array has no gaps: null
}

std::shared_ptr<const Inside> ElementBody::given(const bson::OwnedValue& value,
                                                 const Authorship& author) const {
  DocumentEffects effects;
  Effect& assign = effects.effects.emplace_back();
  assign.path = kElement;
  assign.value = value;
  Authorship here(author.stamp, author.deps, effects);
  Body body = body_;
  apply_effect(body, assign, here);
  purge(body);
  return std::make_shared<ElementBody>(std::move(body));
}

std::shared_ptr<const Inside> ElementBody::joined(const ListElement& other) const {
  const Body others = body_in(other);
  Body body = join(std::vector<const Body*>{&body_, &others});
  purge(body);
  return std::make_shared<ElementBody>(std::move(body));
}

void ElementBody::for_each_stamp(const StampVisit& visit) const {
  for (const auto& [path, reg] : body_.registers) merge::for_each_stamp(reg, visit);
  for (const auto& [path, entries] : body_.counters) merge::for_each_stamp(entries, visit);
  for (const auto& [path, stamp] : body_.asserted) visit(stamp, false);
}

void ElementBody::write(RowOut& out) const {
  const auto state = [&](const auto& each) { merge::write(out, each); };
  write_map(out, body_.registers, state);
  write_map(out, body_.counters, state);
  write_map(out, body_.asserted, [&](const Dot& stamp) { out.dot(stamp); });
}

std::shared_ptr<const Inside> read_inside(RowIn& in) {
  Body body;
  read_map(in, body.registers, [&](Register& reg) {
    read(in, reg);
    if (reg.content == Content::kShown) in.fail("a value in an element is missing");
    if (reg.is_version) in.fail("version of a part");
  });
  read_map(in, body.counters, [&](CounterEntries& entries) {
    read(in, entries);
    if (entries.empty()) in.fail("counter without entries");
  });
  read_map(in, body.asserted, [&](Dot& stamp) { stamp = in.dot(); });
  const auto is_inside = [](const auto& map) {
    return std::all_of(map.begin(), map.end(), [](const auto& each) {
      return has_prefix(each.first, kElement) && !is_into_element(each.first);
    });
  };
  if (!is_inside(body.registers) || !is_inside(body.counters) || !is_inside(body.asserted)) {
    in.fail("an element that holds what none can");
  }
  return std::make_shared<ElementBody>(std::move(body));
}

Body body_in(const ListElement& element) {
  if (element.inside != nullptr) {
    return static_cast<const ElementBody&>(*element.inside).body();
  }
  Body body;
  Register& whole = body.registers[kElement];
  whole.stamp = element.changed;
  const SharedBytes copy = SharedBytes::of(element.value.bytes);
  hold(whole, kElement, {element.value.type, copy.bytes}, copy);
  return body;
}

Effect effect_in_element(const Effect& effect) {
  Effect inside;
  inside.kind = effect.kind;
  inside.path = path_in_element(effect.path);
  inside.value = effect.value;
  inside.entry = effect.entry;
  for (const Baseline& seen : effect.baselines) {
    if (has_prefix(seen.path, effect.path)) {
      inside.baselines.push_back({path_in_element(seen.path), seen.entries});
    }
  }
  return inside;
}

Path path_of_inside(const Path& array, const ElementId& id, const Path& inside) {
  Path path = array;
  path.push_back(element_name(id));
  path.insert(path.end(), inside.begin() + 1, inside.end());
  return path;
}

void apply_in_element(ListElement& element, const Effect& effect, const Authorship& author) {
  DocumentEffects effects;
  effects.effects.push_back(effect_in_element(effect));
  Authorship here(author.stamp, author.deps, effects);
  Body& body = own_body(element);
  for (const auto& [path, reg] : body.registers) {
    here.next_order = std::max(here.next_order, reg.order + 1);
  }
  begin_counters(body, effects);
  apply_effect(body, effects.effects.front(), here);
  element.is_stale = true;
  element.changed = std::max(element.changed, author.stamp);
  element.as_set = false;
}

void show_inside(ListElement& element) {
  if (!element.is_stale) return;
  purge(own_body(element));
  take_value(element, element.inside->shown());
  element.is_stale = false;
}

std::vector<ElementPart> parts_between(const bson::Document& before, const bson::Document& after) {
  std::vector<ElementPart> parts;
  Path path;
  differ(before, after, path, parts);
  return parts;
}

std::optional<std::vector<Effect>> effects_inside(const ListElement& before,
                                                  const bson::Value& after, const PathChange& array,
                                                  std::optional<size_t> position,
                                                  const LocalContext& context) {
  InsideMaker maker(before, after, array.path, context);
  for (const ElementPart& part : array.parts) {
    const bool is_here = !part.position || !position || *part.position == *position;
    if (is_here) maker.name(part);
  }
  return maker.make();
}

}  // namespace outrigger::merge
