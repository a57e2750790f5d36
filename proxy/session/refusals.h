// Commands that are not sent on, by what they are: what would write past the capture, what nobody
// knows. Pure.
#pragma once

#include <optional>
#include <string>

#include "config/policy.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger {

// A change of the catalogue: other sites are to hear of it.
[[nodiscard]] bool ddl_travels(const wire::OpMsg& parsed, const Policy& policy);

// The body of the answer that refuses the command, with what it would do; nothing: it may go on.
[[nodiscard]] std::optional<std::string> refusal_of(const wire::OpMsg& parsed,
                                                    const Policy& policy);

// The body of the answer to who has waited in vain for a new run of mongod (store_gate.h). Drivers
// take it as of a server that shuts down, and ask again.
[[nodiscard]] std::string not_served_body();

}  // namespace outrigger
