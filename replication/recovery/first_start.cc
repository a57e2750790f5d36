#include "replication/recovery/first_start.h"

#include <algorithm>

#include "replication/site/state/meta_keys.h"

namespace outrigger {

Result<bool> is_first_start(const outbox::Outbox& outbox) {
  auto id = outbox.meta(meta_keys::kSiteId);
  if (!id) return tl::unexpected(id.error());
  return !id->has_value();
}

Status check_first_start(const outbox::Outbox& outbox, StoreCatalog& store,
                         const StoreCatalog::NamespaceFilter& replicated) {
  constexpr size_t kNamed = 10;
  auto first = is_first_start(outbox);
  if (!first) return tl::unexpected(first.error());
  if (!*first) return {};
  auto found = store.replicated_namespaces(replicated);
  if (!found) return tl::unexpected(found.error());
  if (found->empty()) return {};
  std::sort(found->begin(), found->end(),
            [](const NamespaceCount& a, const NamespaceCount& b) { return a.ns < b.ns; });
  std::string names;
  for (size_t i = 0; i < std::min(kNamed, found->size()); ++i) {
    names += (i == 0 ? "" : ", ") + (*found)[i].ns + " (" + std::to_string((*found)[i].documents) +
             " documents)";
  }
  if (found->size() > kNamed) names += " and " + std::to_string(found->size() - kNamed) + " more";
  return fail(ErrorCode::kRefused, "start with a new data_dir", "",
              "the store already holds documents in replicated namespaces: " + names,
              "start with an empty store and import the data through Outrigger, point data_dir at "
              "the one this store was used with, or exclude these namespaces with `replicate: "
              "false`");
}

}  // namespace outrigger
