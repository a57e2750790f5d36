// listIndexes of a collection of which this site has relaxed indexes: apps are shown what those are
// to everybody but mongod, unique ones. Tools that compare indexes with what they want (syncIndexes
// and the like) would drop them else. One that is just being made anew is among them.
#pragma once

#include <string>

#include "proxy/capture/reply.h"
#include "proxy/mongo/backend.h"
#include "proxy/mongo/wire/op_msg.h"
#include "proxy/writes/context.h"

namespace outrigger {

[[nodiscard]] bool lists_relaxed(const ProxyContext& context, const wire::OpMsg& parsed);
// In one piece, whatever is asked for: a collection has 64 indexes at most. All outlive the task.
net::Task<Answer> list_indexes(const ProxyContext& context, Backend& backend,
                               const wire::OpMsg& parsed);

}  // namespace outrigger
