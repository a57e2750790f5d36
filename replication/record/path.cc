#include "replication/record/path.h"

#include <fmt/format.h>

#include <algorithm>

#include "replication/record/bytes.h"

namespace outrigger {
namespace {

constexpr size_t kIndexBytes = 4;
constexpr size_t kOfArrayBytes = 1 + kIndexBytes;
constexpr size_t kOfAdditionBytes = kOfArrayBytes + sizeof(Hlc) + sizeof(Origin);

std::string text_of(const ElementId& id) {
  if (id.dot.is_zero()) return fmt::format("({})", id.index);
  // Those of one commit differ in the last digits, those of two in the others.
  const uint64_t mixed = id.dot.hlc * 0x9e3779b97f4a7c15u + id.dot.origin.epoch;
  return fmt::format("(+{:08x}{})", static_cast<uint32_t>(mixed >> 32),
                     id.index == 0 ? "" : fmt::format(".{}", id.index));
}

}  // namespace

std::string element_name(const ElementId& id) {
  ByteWriter out;
  out.u8(0);
  out.u32(id.index);
  if (!id.dot.is_zero()) {
    out.u64(id.dot.hlc);
    out.origin(id.dot.origin);
  }
  return out.take();
}

std::optional<ElementId> element_named(std::string_view name) {
  const bool is_of_array = name.size() == kOfArrayBytes;
  if (!is_element_name(name) || (!is_of_array && name.size() != kOfAdditionBytes))
    return std::nullopt;
  ByteReader in(name.substr(1), "element");
  ElementId id;
  id.index = in.u32();
  if (is_of_array) return id;
  id.dot.hlc = in.u64();
  id.dot.origin = in.origin();
  if (id.dot.is_zero()) return std::nullopt;
  return id;
}

bool is_legal_path(const Path& path) {
  if (path.size() > kPathDepthMax) return false;
  bool is_inside = false;
  for (size_t i = 0; i < path.size(); ++i) {
    if (is_element_name(path[i])) {
      if (i == 0 || is_inside || !element_named(path[i])) return false;
      is_inside = true;
    } else if (path[i].find('\0') != std::string::npos) {
      return false;
    }
  }
  return true;
}

std::string path_text(const Path& path) {
  std::string text;
  for (const std::string& name : path) {
    const auto element = element_named(name);
    if (&name != &path.front()) text += '.';
    text += element ? text_of(*element) : name;
  }
  return text;
}

}  // namespace outrigger
