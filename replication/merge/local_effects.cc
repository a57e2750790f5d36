// Effects of a local write: what it did, put so that peers can merge it.
#include <algorithm>
#include <set>

#include "replication/bson/fields.h"
#include "replication/merge/body.h"
#include "replication/merge/inside.h"
#include "replication/merge/types/decompose.h"
#include "replication/merge/types/list_change.h"
#include "replication/merge/types/paths.h"
#include "replication/merge/yields.h"

namespace outrigger::merge {
namespace {

// In a document of more no value contends by itself.
constexpr size_t kContendingNamesMax = 10'000;
// In an array of which more is written, elements are given as a whole: a record has an end.
constexpr size_t kInsideEffectsMax = 100'000;

class EffectMaker {
 public:
  EffectMaker(const DocumentState& state, const DocumentChange& change, const LocalContext& context)
      : state_(state),
        context_(context),
        is_detached_(state.detached),
        is_remembered_(!state.incarnations.empty() || !state.gone.empty()),
        body_(state) {
    if (context.policy != nullptr) rules_ = context.policy->merge_rules(change.ns);
  }

  void birth(const DocumentChange& change) {
    // The store had no such document: what the row still speaks of went behind our back. So may
    // have what nobody here remembers any more and peers still hold (a TTL index takes documents);
    // fields of an upsert would stand beside it, and its increments be added to it. If the store
    // had never taken the document, the app did not mean it either: both births stand.
    const bool merges = change.kind == DocumentChange::Kind::kUpsert || rules_.inserts_merge();
    if (!is_detached_ && (is_remembered_ || merges)) remove();
    if (is_weak_birth(change, rules_.inserts_merge())) {
      add(Operation::kWeakBirth, {}).value = bson::make_document(change.document);
      return birth_parts(change);
    }
    add(Operation::kBirth, {}).value = bson::make_document(change.document);
  }
  void remove(Removal why = Removal::kPlain) { add(Operation::kRemove, {}).removal = why; }
  void replace(const DocumentChange& change) {
    add(Operation::kAssign, {}).value = bson::make_document(change.document);
    effects_.back().baselines = seen_below({});
    effects_.back().is_version = change.is_version;
    contend_below({}, bson::make_document(change.document));
  }
  // Nothing was done to the elements of an array that is there: nobody need be told. An element
  // that was set to what it was is set.
  static bool says_nothing(const PathChange& change) {
    return change.kind == Operation::kEdit && change.edit != ArrayEdit::kInPlace &&
           change.base_known && change.base && *change.base == change.value &&
           !change.base_may_be_missing;
  }
  // Where the type that merges what was written is chosen.
  void update(const PathChange& change) {
    OUTRIGGER_ASSERT(change.kind == Operation::kAssign || change.kind == Operation::kUnset ||
                     change.kind == Operation::kIncrement || change.kind == Operation::kEdit);
    Effect& effect = add(change.kind, change.path);
    const PathRuling ruling = rules_.at(change.path);
    switch (type_of(change.kind, ruling.type)) {
      case MergeType::kRegister:
        effect.rule = rule_at(change.path, ruling);
        if (effect.rule.is_contest()) {
          if (change.kind == Operation::kEdit) effect.kind = Operation::kAssign;
          if (effect.kind == Operation::kAssign) effect.value = change.value;
          break;
        }
        if (std::optional<ListEdit> edit = found(change)) {
          effect.kind = Operation::kEdit;
          effect.edit = *std::move(edit);
          if (do_removals_win(ruling) && !effect.edit.removed.empty()) {
            effect.taken = taken_between(array_of(list_known(change)).view(), change.value.view());
          }
          write_found_inside(change);
          break;
        }
        if (change.kind == Operation::kEdit) effect.kind = Operation::kAssign;
        if (effect.kind == Operation::kAssign) effect.value = change.value;
        effect.baselines = seen_below(change.path);
        if (effect.kind == Operation::kAssign) contend_below(change.path, change.value);
        break;
      case MergeType::kList:
        // Also of one given as a whole after all. What is changed in place is not taken away.
        if (do_removals_win(ruling) && change.edit != ArrayEdit::kInPlace && change.base &&
            !is_beyond_lists(change.base->view()) && !is_beyond_lists(change.value.view())) {
          effect.taken = taken_between(change.base->view(), change.value.view());
        }
        if (std::optional<ListEdit> edit = edited(change)) {
          effect.edit = *std::move(edit);
          write_inside(change);
        } else {
          effect.kind = Operation::kAssign;
          effect.value = change.value;
          effect.baselines = seen_below(change.path);
        }
        break;
      case MergeType::kCounter: {
        const auto found = body_->counters.find(change.path);
        const auto& entries = found == body_->counters.end() ? kNoEntries : found->second;
        const Register* own = governor_of(*body_, change.path).own();
        effect.entry = is_of_all_births(change.path, entries)
                           ? counted(change.value.view(), own, entries, context_)
                           : new_entry(change.value, context_);
        effect.entry.bounds = bounds_of(ruling);
        break;
      }
    }
  }

  std::vector<Effect> take() { return std::move(effects_); }

 private:
  Effect& add(Operation kind, const Path& path) {
    Effect& effect = effects_.emplace_back();
    effect.kind = kind;
    effect.path = path;
    return effect;
  }

  // Counted by an upsert: its document shows the sums already. Elements are told beside it, and
  // what is one value with all that is in it.
  void birth_parts(const DocumentChange& change) {
    const size_t birth = effects_.size() - 1;
    std::vector<Baseline> counted_here;
    std::set<Path> beside;
    Path at;
    if (!rules_.empty()) wholes_in(bson::Document(change.document), at, beside);
    for (const PathChange& part : change.changes) {
      if (part.path.front() == "_id") continue;  // it is one value
      switch (type_of(part.kind, rules_.at(part.path).type)) {
        case MergeType::kRegister:
          break;
        case MergeType::kCounter: {
          Effect& effect = add(part.kind, part.path);
          effect.entry = new_entry(part.value, context_);
          counted_here.push_back({part.path, {effect.entry}});
          effect.entry.bounds = bounds_of(rules_.at(part.path));
          break;
        }
        case MergeType::kList: {
          auto edit = edit_between(List(), part.value.view(), part.edit, context_.dot);
          if (!edit) break;
          add(part.kind, part.path).edit = *std::move(edit);
          beside.insert(part.path);
          break;
        }
      }
    }
    effects_[birth].baselines = std::move(counted_here);
    if (beside.empty()) return;
    effects_[birth].value =
        bson::make_document(without(bson::Document(change.document), beside, at));
  }

  // Gives them their values, each by itself.
  void wholes_in(const bson::Document& document, Path& at, std::set<Path>& found) {
    for (const bson::Element& field : document) {
      at.emplace_back(field.name);
      const PathRuling ruling = rules_.at(at);
      if (is_kept_whole(ruling.type)) {
        Effect& effect = add(Operation::kAssign, at);
        effect.value = bson::OwnedValue(field.value);
        effect.rule = contest_of(ruling, context_.site());
        found.insert(at);
      } else if (is_container(field.value, at)) {
        wholes_in(field.value.as_document(), at, found);
      }
      at.pop_back();
    }
  }

  // An entry that only some of several births have must not go on in the others: should those it is
  // of be deleted, what it had counted in them would live on.
  bool is_of_all_births(const Path& path, const CounterEntries& entries) const {
    const auto& births = state_.incarnations;
    return births.size() < 2 ||
           std::all_of(births.begin(), births.end(), [&](const Incarnation& each) {
             const auto found = each.body.counters.find(path);
             return (found == each.body.counters.end() ? kNoEntries : found->second) == entries;
           });
  }

  // The rule a value at this path comes with. Of a contest of which no rule of today speaks, its
  // own.
  ContestRule rule_at(const Path& path, const PathRuling& ruling) const {
    if (ruling.depth != path.size()) return {};
    const ContestRule rule = contest_of(ruling, context_.site());
    const auto known = body_->contests.find(path);
    if (rule.is_contest() || known == body_->contests.end()) return rule;
    return known->second.contenders.back().rule;
  }

  // Values that are given with a container above them (but a version), and contend all the same.
  void contend_below(const Path& path, const bson::OwnedValue& value) {
    if (rules_.empty() || effects_.back().is_version || !is_container(value.view(), path)) return;
    // Each takes an effect of its own, at every site.
    if (names_in_paths(value.view().as_document()) > kContendingNamesMax) return;
    Path at = path;
    contests_in(value.view().as_document(), at);
  }
  void contests_in(const bson::Document& document, Path& at) {
    for (const bson::Element& field : document) {
      at.emplace_back(field.name);
      const ContestRule rule = contest_of(rules_.at(at), context_.site());
      if (rule.is_contest()) {
        Effect& effect = add(Operation::kAssign, at);
        effect.value = bson::OwnedValue(field.value);
        effect.rule = rule;
      } else if (is_container(field.value, at)) {
        contests_in(field.value.as_document(), at);
      }
      at.pop_back();
    }
  }

  // Nothing: the array is to be assigned as a whole. So is one that is not what it should be, as it
  // was changed around us: then everybody is to have what is there.
  std::optional<ListEdit> edited(const PathChange& change) const {
    if (!change.base_known) return std::nullopt;
    if (change.base_may_be_missing && !missing_is_empty(state_, change.path)) return std::nullopt;
    const std::optional<bson::Value> before =
        change.base ? std::optional(change.base->view()) : std::nullopt;
    List list = list_known(change);
    if (before ? !shows(list, *before) : !shown_of(list).empty()) return edited_aside(list, change);
    if (shows(list, change.value.view())) return ListEdit();
    if (list.settled) take_values(list, before);
    auto edit = edit_between(list, change.value.view(), change.edit, context_.dot, change.key);
    if (edit || change.key.empty() || change.edit == ArrayEdit::kKeyed) return edit;
    return edit_between(list, change.value.view(), ArrayEdit::kKeyed, context_.dot, change.key);
  }

  // What the edit that was just told changed in elements is told part by part, where it can be.
  void write_inside(const PathChange& change) {
    ListEdit& edit = effects_.back().edit;
    if (edit.changed.empty()) return;
    List list = list_known(change);
    if (list.settled) {
      take_values(list, change.base ? std::optional(change.base->view()) : std::nullopt);
    }
    std::map<ElementId, size_t> shown;
    size_t position = 0;
    for (const size_t i : shown_of(list)) shown.emplace(list.elements[i].id(), position++);
    PathChange other;  // of whose parts the request says nothing
    other.path = change.path;
    std::vector<Effect> inside;
    std::erase_if(edit.changed, [&](const ChangedElement& each) {
      const ListElement* at = find_element(list, each.id);
      const auto seen = is_detached_ ? std::nullopt : std::optional(shown.at(each.id));
      const bool has_room = inside.size() < kInsideEffectsMax;
      const bool by_key = change.edit == ArrayEdit::kKeyed;
      other.parts.clear();
      if (has_room && by_key) {
        other.parts =
            parts_between(at->value.view().as_document(), each.value.view().as_document());
      }
      auto made = effects_inside(*at, each.value.view(), has_room && !by_key ? change : other, seen,
                                 context_);
      if (!made) return false;
      std::move(made->begin(), made->end(), std::back_inserter(inside));
      return true;
    });
    std::move(inside.begin(), inside.end(), std::back_inserter(effects_));
  }

  // As it was before the write, its documents as the store had them.
  List list_known(const PathChange& change) const {
    const auto known = body_->lists.find(change.path);
    const bool is_told = known != body_->lists.end() && !known->second.settled;
    List list = is_told ? known->second : list_before(change).lists.at(change.path);
    const bson::Value found = change.value.view();
    const bson::Value stored =
        change.kind == Operation::kAssign || !change.base ? found : change.base->view();
    if (!list.settled && stored.type == bson::Type::kArray) take_order(list, stored);
    return list;
  }

  // The store has not taken what others added: it stays.
  std::optional<ListEdit> edited_aside(const List& list, const PathChange& change) const {
    if (!is_detached_ || list.settled) return std::nullopt;
    const std::optional<bson::Value> before =
        change.base ? std::optional(change.base->view()) : std::nullopt;
    const auto wanted = done_to(list, before, change.value.view(), change.edit);
    if (!wanted) return std::nullopt;
    if (shows(list, wanted->view())) return ListEdit();
    return edit_between(list, wanted->view(), change.edit, context_.dot);
  }

  // What must have been done to a list to make it what is there now.
  std::optional<ListEdit> found(const PathChange& change) const {
    if (change.kind != Operation::kAssign || change.edit != ArrayEdit::kFound) return std::nullopt;
    const auto known = body_->lists.find(change.path);
    if (known == body_->lists.end()) return std::nullopt;
    if (known->second.settled || known->second.hidden) return std::nullopt;
    const List list = list_known(change);
    if (shows(list, change.value.view())) return ListEdit();
    if (change.value.type != bson::Type::kArray) return std::nullopt;
    const bool in_place = changed_alone(list, change.value.view()).has_value();
    const ArrayEdit how = in_place ? ArrayEdit::kInPlace : ArrayEdit::kMoves;
    auto edit = edit_between(list, change.value.view(), how, context_.dot);
    if (edit) return edit;
    const std::string_view key = element_key_of(rules_.at(change.path));
    edit = edit_between(list, change.value.view(), ArrayEdit::kKeyed, context_.dot, key);
    // An element that was given a value would count what it shows once more.
    return edit && edit->changed.empty() ? edit : std::nullopt;
  }

  // Whatever was done there: where the element differs now, it was given this.
  void write_found_inside(const PathChange& change) {
    const List list = list_known(change);
    const auto alone = changed_alone(list, change.value.view());
    if (!alone) return;
    PathChange in_place = change;
    in_place.parts = parts_between(alone->first.as_document(), alone->second.as_document());
    write_inside(in_place);
  }

  // A body that has this list alone, as it was before the write.
  Body list_before(const PathChange& change) const {
    Body body;
    const auto known = body_->lists.find(change.path);
    if (known != body_->lists.end()) {
      body.lists.insert(*known);
    } else if (state_.is_sparse()) {
      begin_local_list(body, change);
    } else {
      Body whole = *body_;
      begin_list(whole, change.path);
      body.lists.insert(*whole.lists.find(change.path));
    }
    return body;
  }

  // What the author of a value has seen beside registers, at its path and below; also of what is
  // gone, and may come back.
  std::vector<Baseline> seen_below(const Path& path) const {
    std::map<Path, CounterEntries> counted;
    const auto note = [&](const Path& at, const CounterEntries& entries) {
      join(counted[at], seen(entries));
    };
    for_each_below(body_->counters, path, note);
    for (const Incarnation& each : state_.gone) for_each_below(each.body.counters, path, note);
    std::vector<Baseline> all;
    for (auto& [at, entries] : counted) all.push_back({at, std::move(entries)});
    return all;
  }

  const DocumentState& state_;
  const LocalContext& context_;
  const bool is_detached_;  // the store has never taken what is remembered
  const bool is_remembered_;
  const WholeBody body_;
  MergeRules rules_;
  std::vector<Effect> effects_;
};

}  // namespace

DocumentEffects local_effects(const DocumentState& state, const DocumentChange& change,
                              const LocalContext& context) {
  using Kind = DocumentChange::Kind;
  EffectMaker maker(state, change, context);
  switch (change.kind) {
    case Kind::kInsert:
    case Kind::kUpsert:
      maker.birth(change);
      break;
    case Kind::kReplace:
      maker.replace(change);
      break;
    case Kind::kUpdate:
      for (const PathChange& part : change.changes) {
        if (!EffectMaker::says_nothing(part)) maker.update(part);
      }
      break;
    case Kind::kRemove:
      maker.remove(removal_of(state, change));
      break;
  }
  DocumentEffects effects{change.ns, change.id, maker.take()};
  // What the store shows is not what each of them holds.
  const bool is_one = state.incarnations.size() <= 1 && state.gone.empty() && !state.detached;
  const bool is_written = change.kind == Kind::kUpdate || change.kind == Kind::kReplace;
  if (is_written) effects.keys = is_one || change.keys == Keys::kNone ? change.keys : Keys::kClaims;
  const bool ends = change.kind == Kind::kRemove && removal_of(state, change) == Removal::kPlain;
  if (!is_new(change) && !ends) name_removals(state, effects);
  return effects;
}

}  // namespace outrigger::merge
