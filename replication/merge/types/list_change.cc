#include "replication/merge/types/list_change.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "replication/merge/types/author.h"

namespace outrigger::merge {
namespace {

constexpr size_t kComparedMax = size_t{1} << 18;  // pairs of elements
constexpr size_t kNone = SIZE_MAX;
// What tells where elements move takes no more of a record than the array does, or than this.
constexpr size_t kMovedPartsMin = 64;
constexpr size_t kBytesOfPart = 8;

using ValueKey = std::pair<bson::Type, std::string_view>;
ValueKey key_of(const bson::Value& value) { return {value.type, value.bytes}; }

using Values = std::vector<bson::Value>;
// Of each element afterwards, which one it was; kNone: it is new.
using Origins = std::vector<size_t>;

// Those of `few` in `all`, in their order; nothing: they are not all there.
std::optional<Origins> find_in(const Values& few, const Values& all) {
  Origins found;
  size_t at = 0;
  for (const bson::Value& each : few) {
    while (at < all.size() && !(all[at] == each)) ++at;
    if (at == all.size()) return std::nullopt;
    found.push_back(at++);
  }
  return found;
}

// A longest common subsequence; nothing: it takes too long.
std::optional<Origins> align(const Values& before, const Values& after) {
  const size_t width = after.size() + 1;
  if ((before.size() + 1) * width > kComparedMax) return std::nullopt;
  std::vector<uint32_t> longest((before.size() + 1) * width, 0);
  for (size_t b = before.size(); b-- > 0;) {
    for (size_t a = after.size(); a-- > 0;) {
      longest[b * width + a] = before[b] == after[a] ? longest[(b + 1) * width + a + 1] + 1
                                                     : std::max(longest[(b + 1) * width + a],
                                                                longest[b * width + a + 1]);
    }
  }
  Origins origins(after.size(), kNone);
  for (size_t b = 0, a = 0; b < before.size() && a < after.size();) {
    if (before[b] == after[a]) {
      origins[a++] = b++;
    } else if (longest[(b + 1) * width + a] >= longest[b * width + a + 1]) {
      ++b;
    } else {
      ++a;
    }
  }
  return origins;
}

// The last of them, in front of what is new ($push with $slice), or the first of them, behind it:
// as many as possible. Nothing: none stayed so, or it takes too long.
std::optional<Origins> shift(const Values& before, const Values& after) {
  size_t left = kComparedMax;
  for (size_t kept = std::min(before.size(), after.size()); kept > 0; --kept) {
    for (const bool behind : {true, false}) {
      const size_t b = behind ? before.size() - kept : 0;
      const size_t a = behind ? 0 : after.size() - kept;
      size_t same = 0;
      while (same < kept && left > 0 && before[b + same] == after[a + same]) {
        ++same;
        --left;
      }
      if (left-- == 0) return std::nullopt;
      if (same < kept) continue;
      Origins origins(after.size(), kNone);
      for (size_t i = 0; i < kept; ++i) origins[a + i] = b + i;
      return origins;
    }
  }
  return std::nullopt;
}

// Those with the same value in their field. Nothing: one has none, or two have the same, or no
// field tells them apart.
std::optional<Origins> same_keys(const Values& before, const Values& after, std::string_view key) {
  if (key.empty()) return std::nullopt;
  std::map<ValueKey, size_t> known;
  const auto key_in = [&](const bson::Value& element) {
    return element.type == bson::Type::kDocument ? element.as_document().find(key) : std::nullopt;
  };
  for (size_t b = 0; b < before.size(); ++b) {
    const auto value = key_in(before[b]);
    if (!value || !known.emplace(key_of(*value), b).second) return std::nullopt;
  }
  Origins origins;
  std::set<ValueKey> left;
  for (const bson::Value& each : after) {
    const auto value = key_in(each);
    if (!value || !left.insert(key_of(*value)).second) return std::nullopt;
    const auto found = known.find(key_of(*value));
    origins.push_back(found == known.end() ? kNone : found->second);
  }
  return origins;
}

// Of those that were there, as many as can be that stand in the order they had: all others have
// moved. A longest increasing subsequence.
std::vector<bool> unmoved(const Origins& origins) {
  std::vector<size_t> last;  // of the ways of each length, that which ends lowest: where
  Origins before(origins.size(), kNone);
  for (size_t a = 0; a < origins.size(); ++a) {
    if (origins[a] == kNone) continue;
    const auto at = std::lower_bound(last.begin(), last.end(), origins[a],
                                     [&](size_t i, size_t b) { return origins[i] < b; });
    if (at != last.begin()) before[a] = *(at - 1);
    if (at == last.end()) {
      last.push_back(a);
    } else {
      *at = a;
    }
  }
  std::vector<bool> stays(origins.size());
  for (size_t a = last.empty() ? kNone : last.back(); a != kNone; a = before[a]) stays[a] = true;
  return stays;
}

std::optional<Origins> origins_of(const Values& before, const Values& after, ArrayEdit how,
                                  std::string_view key) {
  if (how == ArrayEdit::kKeyed) return same_keys(before, after, key);
  if (how == ArrayEdit::kInPlace && after.size() >= before.size()) {
    Origins origins(after.size(), kNone);
    for (size_t i = 0; i < before.size(); ++i) origins[i] = i;
    return origins;
  }
  if (auto left = find_in(after, before)) return left;
  if (const auto kept = find_in(before, after)) {
    Origins origins(after.size(), kNone);
    for (size_t b = 0; b < kept->size(); ++b) origins[(*kept)[b]] = b;
    return origins;
  }
  if (auto aligned = align(before, after)) return aligned;
  return shift(before, after);
}

// What nearly all edits do; it surely leads to what was found.
bool only_appends(const List& before, const ListEdit& edit) {
  if (!edit.removed.empty() || !edit.changed.empty() || !edit.moved.empty()) return false;
  const Place* last = before.elements.empty() ? nullptr : &before.elements.back().stands();
  for (const AddedElement& each : edit.added) {
    const bool behind = each.place.back().lane == Lane::kBack && !each.as_set &&
                        (last == nullptr || comes_before(*last, each.place));
    if (!behind) return false;
    last = &each.place;
  }
  return true;
}

class EditMaker {
 public:
  EditMaker(const List& list, const bson::Value& array, ArrayEdit how, const Dot& dot,
            std::string_view key)
      : list_(list),
        shown_(shown_of(list)),
        how_(how),
        dot_(dot),
        key_(key),
        after_bytes_(array.bytes.size()) {
    for (const size_t i : shown_) before_.push_back(list.elements[i].value.view());
    for (const bson::Element& each : array.as_document()) after_.push_back(each.value);
    for (const ListElement& each : list.elements) {
      for (const ElementId& id : {each.id(), each.stands().back().id}) {
        if (id.dot == dot) index_ = std::max(index_, id.index + 1);
      }
    }
  }

  std::optional<ListEdit> make() {
    if (std::max(before_.size(), after_.size()) > kListElementsMax) return std::nullopt;
    const std::optional<Origins> origins = origins_of(before_, after_, how_, key_);
    if (!origins) return std::nullopt;
    take_away(*origins);
    change(*origins);
    if (!place(*origins, unmoved(*origins)) && !place_anew(*origins)) return std::nullopt;
    if (adds_what_is_gone()) return std::nullopt;
    const bool does_both = !edit_.removed.empty() && !edit_.added.empty();
    if (how_ == ArrayEdit::kComputed && does_both) return std::nullopt;
    if (edit_ == ListEdit()) return std::nullopt;
    return std::move(edit_);
  }

 private:
  [[nodiscard]] const ListElement& shown(size_t b) const { return list_.elements[shown_[b]]; }

  // What shows of a set stands for its twins.
  template <typename Visit>
  void for_each_twin(size_t b, const Visit& visit) {
    const ListElement& of = shown(b);
    if (!of.as_set) return;
    if (sets_.empty()) {
      for (const ListElement& each : list_.elements) {
        if (each.as_set) sets_.emplace(key_of(each.value.view()), &each);
      }
    }
    const auto [first, end] = sets_.equal_range(key_of(of.value.view()));
    for (auto at = first; at != end; ++at) {
      if (at->second != &of) visit(at->second->id());
    }
  }
  void remove_twins(size_t b) {
    for_each_twin(b, [&](const ElementId& id) { edit_.removed.push_back(id); });
  }

  void take_away(const Origins& origins) {
    std::vector<bool> stays(before_.size());
    for (const size_t b : origins) {
      if (b != kNone) stays[b] = true;
    }
    for (size_t b = 0; b < before_.size(); ++b) {
      if (stays[b]) continue;
      gone_.insert(key_of(before_[b]));
      edit_.removed.push_back(shown(b).id());
      remove_twins(b);
    }
  }

  void change(const Origins& origins) {
    for (size_t a = 0; a < origins.size(); ++a) {
      const size_t b = origins[a];
      if (b == kNone || before_[b] == after_[a]) continue;
      edit_.changed.push_back({shown(b).id(), bson::OwnedValue(after_[a])});
      remove_twins(b);
    }
  }

  void move(const ElementId& id, const Place& to) {
    moved_parts_ += to.size();
    edit_.moved.push_back({id, to});
  }
  // It still does not show, and nobody has taken it away.
  void move_behind(const Place& place, const ElementId& id) {
    Place to = place;
    to.back().id.index = index_++;
    move(id, to);
  }

  // What is new, and what has moved. False: it stands behind too many others, or is too much.
  bool place(const Origins& origins, const std::vector<bool>& stays) {
    const auto last_old = std::find(stays.rbegin(), stays.rend(), true);
    const auto behind_all = static_cast<size_t>(stays.rend() - last_old);
    const ListElement* last = nullptr;
    for (size_t a = 0; a < origins.size(); ++a) {
      const size_t b = origins[a];
      if (stays[a]) {
        last = &shown(b);
        continue;
      }
      Lane lane = Lane::kBack;
      if (a < behind_all) lane = last == nullptr ? Lane::kFront : Lane::kBehind;
      Place to;
      if (lane == Lane::kBehind) to = last->stands();
      if (to.size() == kPlacePartsMax) return false;
      to.push_back({lane, {dot_, index_++}});
      if (b == kNone) {
        edit_.added.push_back(
            {std::move(to), how_ == ArrayEdit::kAddsSet, bson::OwnedValue(after_[a])});
      } else {
        move(shown(b).id(), to);
        const bool has_twins = before_[b] == after_[a];
        if (has_twins) for_each_twin(b, [&](const ElementId& id) { move_behind(to, id); });
      }
    }
    return moved_parts_ <= kMovedPartsMin + after_bytes_ / kBytesOfPart;
  }

  // Where all move, each stands behind no other one: what was done to them elsewhere still stands.
  bool place_anew(const Origins& origins) {
    if (how_ != ArrayEdit::kKeyed) return false;
    edit_.moved.clear();
    edit_.added.clear();
    moved_parts_ = 0;
    return place(origins, std::vector<bool>(origins.size()));
  }

  [[nodiscard]] bool adds_what_is_gone() const {
    return std::any_of(edit_.added.begin(), edit_.added.end(), [&](const AddedElement& each) {
      return gone_.contains(key_of(each.value.view()));
    });
  }

  const List& list_;
  const std::vector<size_t> shown_;
  const ArrayEdit how_;
  const Dot dot_;
  const std::string_view key_;
  Values before_;
  Values after_;
  const size_t after_bytes_;
  size_t moved_parts_ = 0;
  uint32_t index_ = 0;
  std::set<ValueKey> gone_;
  std::multimap<ValueKey, const ListElement*> sets_;  // added to a set; made when asked for
  ListEdit edit_;
};

}  // namespace

std::optional<bson::OwnedValue> done_to(const List& list, const std::optional<bson::Value>& before,
                                        const bson::Value& after, ArrayEdit how) {
  const auto values_of = [](const std::optional<bson::Value>& array) {
    Values values;
    if (!array || array->type != bson::Type::kArray) return values;
    for (const bson::Element& each : array->as_document()) values.push_back(each.value);
    return values;
  };
  const Values old = values_of(before);
  const Values now = values_of(after);
  Values all;
  for (const size_t i : shown_of(list)) all.push_back(list.elements[i].value.view());
  const bool appends = now.size() >= old.size() && std::equal(old.begin(), old.end(), now.begin());
  const bool in_place = how == ArrayEdit::kInPlace && now.size() >= old.size();
  std::vector<bool> stays(all.size(), true);
  if (!appends) {
    const std::optional<Origins> places = find_in(old, all);
    const std::optional<Origins> left = in_place ? Origins() : find_in(now, old);
    if (!places || !left) return std::nullopt;
    for (size_t i = 0; i < old.size(); ++i) {
      if (in_place) all[(*places)[i]] = now[i];
      if (!in_place) stays[(*places)[i]] = false;
    }
    for (const size_t each : *left) stays[(*places)[each]] = true;
  }
  Values shown;
  for (size_t i = 0; i < all.size(); ++i) {
    if (stays[i]) shown.push_back(all[i]);
  }
  for (size_t i = old.size(); i < now.size(); ++i) {
    const bool is_there = std::find(shown.begin(), shown.end(), now[i]) != shown.end();
    if (how != ArrayEdit::kAddsSet || !is_there) shown.push_back(now[i]);
  }
  bson::Writer out;
  for (size_t i = 0; i < shown.size(); ++i) out.value(bson::index_name(i), shown[i]);
  return bson::OwnedValue(bson::Type::kArray, out.finish());
}

std::optional<std::pair<bson::Value, bson::Value>> changed_alone(const List& list,
                                                                 const bson::Value& array) {
  std::optional<std::pair<bson::Value, bson::Value>> alone;
  const std::vector<size_t> shown = shown_of(list);
  size_t at = 0;
  for (const bson::Element& each : array.as_document()) {
    if (at == shown.size()) return std::nullopt;
    const bson::Value was = list.elements[shown[at++]].value.view();
    if (was == each.value) continue;
    const bool documents =
        was.type == bson::Type::kDocument && each.value.type == bson::Type::kDocument;
    if (alone || !documents) return std::nullopt;
    alone.emplace(was, each.value);
  }
  return at == shown.size() ? alone : std::nullopt;
}

bool is_beyond_lists(const bson::Value& array) {
  if (array.type != bson::Type::kArray) return false;
  if (array.bytes.size() > kListBytesMax) return true;
  size_t elements = 0;
  for ([[maybe_unused]] const bson::Element& each : array.as_document()) ++elements;
  return elements > kListElementsMax;
}

std::optional<ListEdit> edit_between(const List& before, const bson::Value& after, ArrayEdit how,
                                     const Dot& dot, std::string_view key) {
  if (after.type != bson::Type::kArray || after.bytes.size() > kListBytesMax) return std::nullopt;
  if (names_for_itself(before)) return std::nullopt;
  std::optional<ListEdit> made = EditMaker(before, after, how, dot, key).make();
  if (!made || only_appends(before, *made)) return made;
  List check = before;
  DocumentEffects nothing;
  edit(check, *made, Authorship(dot, nullptr, nothing), true);
  if (!shows(check, after)) return std::nullopt;
  return made;
}

}  // namespace outrigger::merge
