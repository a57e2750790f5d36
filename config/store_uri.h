// The options of store.uri by name. The sidecar uses that URI twice: through a driver for its own
// connection, and by itself for those it makes for apps. An option that changes what goes over the
// wire must hold for both, so each is either known to, or refused by name; the driver alone would
// pass over what it does not know.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace outrigger {

struct RefusedOption {
  std::string name;  // as it was written
  std::string reason;
};

// The first option of the URI that cannot be honoured.
[[nodiscard]] std::optional<RefusedOption> refused_option(std::string_view uri);

}  // namespace outrigger
