// Changes of the catalogue: sent as they came, answered once mongod's journal holds them. The
// outbox does not know them yet, so nobody could put them back after a crash of mongod.
#pragma once

#include <string>
#include <string_view>

#include "proxy/mongo/wire/op_msg.h"
#include "proxy/writes/context.h"

namespace outrigger {

// `backend` and what `message` borrows outlive what these give. Errors: the store answers no more.
// Builds and drops of indexes take as long as they take, and writes go on meanwhile, as with mongod
// alone.
[[nodiscard]] net::Task<Result<std::string>> run_ddl(Backend& backend, std::string_view message,
                                                     const wire::OpMsg& parsed);
// No write of ours may be on its way to a collection that becomes one of another nature under it.
// The lock waits for mongod and for nobody else. `writing` is set while the store's answer must be
// awaited.
[[nodiscard]] net::Task<Result<std::string>> run_create(ProxyContext& context, Backend& backend,
                                                        std::string_view message,
                                                        const wire::OpMsg& parsed, std::string ns,
                                                        bool& writing);
}  // namespace outrigger
