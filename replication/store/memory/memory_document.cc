#include "replication/store/memory/memory_document.h"

#include <span>

namespace outrigger {
namespace {

using Names = std::span<const std::string>;

std::string nest(Names names, const bson::Value& value) {
  bson::Writer w;
  if (names.size() == 1) return w.value(names.front(), value).finish();
  const std::string inner = nest(names.subspan(1), value);
  return w.document(names.front(), bson::Document(inner)).finish();
}

std::optional<std::string> set(const bson::Document& in, Names names, const bson::Value& value) {
  bson::Writer out;
  bool done = false;
  for (const bson::Element& e : in) {
    if (done || e.name != names.front()) {
      out.element(e);
      continue;
    }
    done = true;
    if (names.size() == 1) {
      out.value(e.name, value);
      continue;
    }
    if (e.value.type != bson::Type::kDocument) return std::nullopt;
    const auto inner = set(e.value.as_document(), names.subspan(1), value);
    if (!inner) return std::nullopt;
    out.document(e.name, bson::Document(*inner));
  }
  if (!done) {
    const std::string added = nest(names, value);
    out.append_all(bson::Document(added));
  }
  return out.finish();
}

std::string unset(const bson::Document& in, Names names) {
  bson::Writer out;
  for (const bson::Element& e : in) {
    if (e.name != names.front()) {
      out.element(e);
    } else if (names.size() > 1) {
      if (e.value.type == bson::Type::kDocument) {
        const std::string inner = unset(e.value.as_document(), names.subspan(1));
        out.document(e.name, bson::Document(inner));
      } else {
        out.element(e);
      }
    }
  }
  return out.finish();
}

}  // namespace

std::optional<std::string> with_field(const bson::Document& document, const Path& path,
                                      const bson::Value& value) {
  return set(document, path, value);
}

std::string without_field(const bson::Document& document, const Path& path) {
  return unset(document, path);
}

}  // namespace outrigger
