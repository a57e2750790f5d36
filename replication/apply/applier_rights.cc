// Rights on one namespace that the store's user lacks: what is said of them.
//
// A document that may not be written is set aside, as its row holds every value. A namespace that
// may not be read holds the stream: nothing can be merged there, and a record passed over is lost
// to this site as soon as every other member has applied it.
#include "replication/apply/applier_work.h"
#include "replication/site/site_parts.h"

namespace outrigger {
namespace {

std::string about(const std::string& ns) { return "rights on " + ns; }

}  // namespace

// An error of a read, in words that say what to grant.
Error Applier::refused_to_read(const std::string& ns, Error error) {
  if (error.code != ErrorCode::kRefused) return error;
  auto forbidden = store_.forbidden(ns);
  if (!forbidden || forbidden->empty()) return error;
  error.reason = kLacksRights + *forbidden + ": " + error.reason;
  error.hint = "grant it: until then nothing can be merged there, and what other sites wrote waits";
  return error;
}

void Applier::say_forbidden(const std::string& ns, const std::string& why) {
  site_.alarms.raise(about(ns), why + ": what other sites write to " + ns +
                                    " is set aside, and tried again once it is granted");
}

void Applier::calm_forbidden(const std::string& ns) { site_.alarms.calm(about(ns)); }

}  // namespace outrigger
