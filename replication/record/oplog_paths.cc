#include "replication/record/oplog_paths.h"

#include <algorithm>

namespace outrigger {
namespace {

bool walk(const bson::Document& diff, Path& path, std::vector<Path>& paths) {
  if (path.size() > kPathDepthMax) return false;
  if (diff.has("a")) {  // inside an array: the array as a whole
    paths.push_back(path);
    return true;
  }
  for (const bson::Element& section : diff) {
    if (section.value.type != bson::Type::kDocument || section.name.empty()) return false;
    const bool leaves = section.name == "u" || section.name == "i" || section.name == "d";
    if (leaves) {
      for (const bson::Element& field : section.value.as_document()) {
        path.emplace_back(field.name);
        paths.push_back(path);
        path.pop_back();
      }
    } else if (section.name.front() == 's') {
      path.emplace_back(section.name.substr(1));
      if (!walk(section.value.as_document(), path, paths)) return false;
      path.pop_back();
    } else {
      return false;
    }
  }
  return true;
}

// Up to a name that may be a position in an array: the array as a whole.
Path path_of_fields(std::string_view dotted) {
  Path path;
  while (true) {
    const size_t dot = dotted.find('.');
    const std::string_view name = dotted.substr(0, dot);
    const bool may_be_position =
        !path.empty() && !name.empty() && name.find_first_not_of("0123456789") == name.npos;
    if (may_be_position) return path;
    path.emplace_back(name);
    if (dot == dotted.npos) return path;
    dotted.remove_prefix(dot + 1);
  }
}

std::optional<std::vector<Path>> paths_of_operators(const bson::Document& entry) {
  std::vector<Path> paths;
  for (const bson::Element& each : entry) {
    if (each.name == "$v") continue;
    const bool is_known = each.name == "$set" || each.name == "$unset";
    if (!is_known || each.value.type != bson::Type::kDocument) return std::nullopt;
    for (const bson::Element& field : each.value.as_document()) {
      Path path = path_of_fields(field.name);
      if (path.size() > kPathDepthMax) return std::nullopt;
      const bool is_new = std::find(paths.begin(), paths.end(), path) == paths.end();
      if (is_new) paths.push_back(std::move(path));
    }
  }
  return paths;
}

}  // namespace

std::optional<std::vector<Path>> oplog_update_paths(std::string_view o) {
  const bson::Document entry(o);
  const auto version = entry.find("$v");
  if (version && version->to_int64() == 1) return paths_of_operators(entry);
  const auto diff = entry.find("diff");
  if (!version || version->to_int64() != 2 || !diff || diff->type != bson::Type::kDocument) {
    return std::nullopt;
  }
  std::vector<Path> paths;
  Path path;
  if (!walk(diff->as_document(), path, paths)) return std::nullopt;
  return paths;
}

}  // namespace outrigger
