// Text that others chose, on one line and as nothing but what can be read.
#pragma once

#include <string>
#include <string_view>

namespace outrigger {

// Control characters (C0, DEL, C1), line and paragraph separators, characters that turn the
// direction of writing, and bytes that are no UTF-8 become \n, \t, \xNN or \uNNNN. What others
// chose (names of collections, values, what a peer says) can then forge neither a line of the log
// nor what a terminal shows. Every line of the log goes through this.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace outrigger
