#include <algorithm>

#include "replication/bson/number.h"
#include "replication/merge/worlds/merge_world_values.h"

namespace outrigger::merge {
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
  if (sets_) return edit_set(std::move(change), document, path, now, std::move(all));
  const size_t which = pick(20);
  if (which >= 18) return reorder(std::move(change), document, path, now, std::move(all), "q");
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

std::optional<AppWrite> RandomEdits::edit_set(DocumentChange change, const std::string& document,
                                              const Path& path, const Found& now,
                                              std::vector<bson::OwnedValue> all) {
  const size_t which = pick(20);
  const auto has = [&](const bson::OwnedValue& item) {
    return std::find(all.begin(), all.end(), item) != all.end();
  };
  ArrayEdit how = ArrayEdit::kAddsSet;
  if (which < 8 || all.empty()) {
    for (size_t i = 1 + pick(2); i > 0; --i) {
      bson::OwnedValue item =
          pick(3) == 0 ? values_.item() : bson::make_string(pick(2) == 0 ? "x" : "y");
      if (!has(item)) all.push_back(std::move(item));
    }
  } else if (which < 13) {
    std::erase(all, bson::OwnedValue(all[pick(all.size())]));
  } else if (which < 15) {
    all.erase(pick(2) == 0 ? all.begin() : all.end() - 1);
  } else if (which < 18) {
    all = values_in(values_.array().view());
  } else if (which < 19) {
    how = ArrayEdit::kInPlace;
    all[pick(all.size())] = values_.item();
  } else {
    return edit_inside(std::move(change), document, path, now, std::move(all));
  }
  return edit_write(std::move(change), document, path, now, all, how);
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
    if (pick(2) == 0) return assign_by_key(std::move(change), document, now, std::move(all));
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

AppWrite RandomEdits::assign_by_key(DocumentChange change, const std::string& document,
                                    const Found& now, std::vector<bson::OwnedValue> all) {
  const bson::OwnedValue was = all[pick(all.size())];
  const auto other = std::find(all.begin(), all.end(), was);
  *other = bson::make_document(with_path(was.view().as_document(), {"w", "x"}, values_.fresh()));
  return reorder(std::move(change), document, {"e"}, now, std::move(all), "k");
}

AppWrite RandomEdits::reorder(DocumentChange change, const std::string& document, const Path& path,
                              const Found& now, std::vector<bson::OwnedValue> all,
                              const std::string& key) {
  std::erase_if(all,
                [](const bson::OwnedValue& each) { return each.type != bson::Type::kDocument; });
  for (size_t moves = all.empty() ? 0 : pick(4); moves > 0; --moves) {
    const bson::OwnedValue item = all[pick(all.size())];
    all.erase(std::find(all.begin(), all.end(), item));
    all.insert(all.begin() + static_cast<std::ptrdiff_t>(pick(all.size() + 1)), item);
  }
  AppWrite write = edit_write(std::move(change), document, path, now, all, ArrayEdit::kKeyed);
  write.change.changes.back().key = key;
  return write;
}

std::optional<AppWrite> RandomEdits::append_or_pull(DocumentChange change,
                                                    const std::string& document,
                                                    const DocumentState& state) {
  const Found now = find_path(bson::Document(document), {"l"});
  std::vector<bson::OwnedValue> all;
  if (now.what == Found::kValue) all = values_in(now.value);
  if (pick(3) == 0) return reorder(std::move(change), document, {"l"}, now, std::move(all), "k");
  const bool appends = all.empty() || pick(10) < 7;
  if (appends) {
    for (size_t i = 1 + pick(2); i > 0; --i) {
      all.push_back(bson::make_document(bson::Writer().value("k", values_.fresh()).finish()));
    }
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

}  // namespace outrigger::merge
