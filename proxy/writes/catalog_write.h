// Changes of the catalogue that travel: create, collMod, createIndexes, dropIndexes, drop.
//
// What a collection is travels as a document (record/catalog.h), so a change of it is a write:
// lock, see what is there, begin, send, see again, settle, as of any write whose answer does not
// tell what it did (run_executor.h). What differs:
//
//   locks    of a collection that comes, goes or becomes another, its namespace: nobody writes to
//            it meanwhile. For indexes to go, the document of the catalogue alone: writes go on
//   a build  may take hours, and whatever is begun or locked holds others up. So it is recorded
//            once it is done, and a crash in between leaves an index that peers have not heard of
//            until somebody asks for it again: one asked for is said, also where it is there
//   a drop   removes the documents it finds. What another site inserted without having seen it
//            stays; peers drop the collection when it holds nothing
//   away     an index that the site has relaxed may be just being made anew, beside everything
//            else: its drop is one, too, and it is not made any more (capture/relaxed_commands.h)
//   answers  wait until mongod's journal holds the change, and the outbox its record
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/capture/relaxed_commands.h"
#include "proxy/capture/reply.h"
#include "proxy/mongo/backend.h"
#include "proxy/mongo/wire/op_msg.h"
#include "proxy/writes/catalog_parts.h"
#include "proxy/writes/context.h"
#include "replication/record/catalog.h"

namespace outrigger {

class CatalogWrite {
 public:
  // Both outlive it. `writing` is set while the store's answer must be awaited.
  CatalogWrite(ProxyContext& context, Backend& backend, bool& writing)
      : context_(context), backend_(backend), writing_(writing) {}

  // `message` is the whole OP_MSG and `parsed` its view; both live until the task is done. `ns`
  // replicates. Of a command without an answer the bytes are empty.
  net::Task<Answer> run(std::string_view message, const wire::OpMsg& parsed, std::string ns);

 private:
  enum class How : uint8_t { kWhole, kIndexes, kBuild, kDrop };
  // What is there under the name of a collection.
  struct Seen {
    std::optional<CatalogEntry> entry;  // none: it is no collection that replicates
    std::vector<bson::OwnedValue> ids;  // of its documents, where asked for
    std::string listed_by;              // the run of the store that showed them; empty: none
    std::optional<Answer> refused;      // why that is not known
  };
  struct Command {
    std::string_view message;
    const wire::OpMsg& parsed;
    const std::string& ns;
    How how;
  };

  net::Task<Answer> change(const Command& command);
  net::Task<Answer> build(const Command& command);
  void warn_of_other(const Command& command) const;
  [[nodiscard]] std::vector<PathChange> changes_of(const Command& command, CatalogEntry before,
                                                   const CatalogEntry& after, bool is_ok) const;
  net::Task<Seen> look(const std::string& ns, bool with_ids);
  net::Task<Result<CatalogParts>> begin(const Command& command, const Seen& before);
  net::Task<Result<std::string>> send_as(const Command& command, std::optional<std::string> words);
  [[nodiscard]] IndexDrop index_drop(const Command& command, const Seen& before) const;
  net::Task<Status> end_builds(const Command& command, const std::vector<std::string>& names);
  net::Task<Status> note_made_otherwise(const Command& command);
  void note_dropped(const CatalogEntry& before, const CatalogEntry& after);
  net::Task<Result<std::string>> send(std::string_view message, const wire::OpMsg& parsed);
  net::Task<bool> settle(CatalogParts& parts, DocumentChange change);
  net::Task<bool> is_durable();

  ProxyContext& context_;
  Backend& backend_;
  bool& writing_;
};

}  // namespace outrigger
