#include "replication/record/oplog_paths.h"

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

}  // namespace

std::optional<std::vector<Path>> oplog_update_paths(std::string_view o) {
  const bson::Document entry(o);
  const auto version = entry.find("$v");
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
