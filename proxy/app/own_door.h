// The sidecar as a client of itself: what is chosen over the admin port (session/ledger_choice.h)
// is written as any app would write it.
//
// The admin port knows no users, so this one is that of store.uri. It comes in through
// proxy.listen, or the listener of the member that is primary, and so is captured, locked and
// recorded like everybody; there is no second way to write.
#pragma once

#include <string>

#include "config/result.h"
#include "config/settings.h"

namespace outrigger {

// How the sidecar is asked where it listens (ProxySettings::doors), with the credentials of
// store.uri; holds a password. kUnsupported, with the way out: that user cannot come in as an app
// does.
[[nodiscard]] Result<std::string> own_door_uri(const Settings& settings, const Endpoint& door);

// Sends {verb: name} there and gives the answer as JSON. Blocks, some seconds at most. Errors:
// kRefused (the sidecar or mongod says no, in its words), kUnavailable (no answer: it may have been
// written, and may be asked again), kUnsupported.
[[nodiscard]] Result<std::string> ask_own_door(const Settings& settings, const std::string& verb,
                                               const std::string& name);

}  // namespace outrigger
