// The options of store.uri by name. The sidecar uses that URI twice: through a driver for its own
// connection, and by itself for those it makes for apps. An option that changes what goes over the
// wire must hold for both, so each is either known to, or refused by name; the driver alone would
// pass over what it does not know.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace outrigger {

struct RefusedOption {
  std::string name;  // as it was written
  std::string reason;
};

// Options by name, in small letters; "" where one is not there.
class StoreUriOptions {
 public:
  explicit StoreUriOptions(std::string_view uri);
  [[nodiscard]] std::string text(const std::string& name) const;
  // The names in the option `compressors`.
  [[nodiscard]] std::vector<std::string> compressors() const;

 private:
  std::map<std::string, std::string> options_;
};

// The first option of the URI that cannot be honoured.
[[nodiscard]] std::optional<RefusedOption> refused_option(std::string_view uri);

}  // namespace outrigger
