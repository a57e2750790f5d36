// Bytes that validate must walk, print, compare and key without harm; bytes that do not must be
// walked without reading outside.
#include <cstdint>

#include "config/result.h"
#include "replication/bson/bson.h"
#include "replication/bson/number.h"

namespace {
using namespace outrigger;

void walk(const bson::Document& document, int depth) {
  auto it = document.begin();
  for (; it != document.end(); ++it) {
    (void)it->value.to_int64();
    (void)it->value.truthy();
    if (it->value.is_number()) (void)bson::add(it->value, bson::make_int32(1).view());
    if (it->value.is_container() && depth < bson::kDepthMax) {
      walk(it->value.as_document(), depth + 1);
    }
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const bson::Bytes bytes(reinterpret_cast<const char*>(data), size);
  const bson::Document document(bytes);
  walk(document, 0);
  const bool valid = bson::validate(bytes).has_value();
  (void)bson::to_json(document);
  (void)bson::canonical_key({bson::Type::kDocument, bytes});
  if (!valid) return 0;
  OUTRIGGER_ASSERT(bson::equal_unordered(document, document));
  bson::Writer copy;
  auto it = document.begin();
  for (; it != document.end(); ++it) copy.element(*it);
  OUTRIGGER_ASSERT(it.ok());
  OUTRIGGER_ASSERT(copy.finish() == bytes);
  return 0;
}
