#include "replication/store/mongo/mongo_read.h"

#include <map>

#include "replication/bson/id.h"
#include "replication/series/measurement.h"
#include "replication/store/mongo/series/mongo_series.h"

namespace outrigger::mongo {
namespace {

std::string find_command(const std::string& collection, std::span<const bson::OwnedValue> ids,
                         const Projection& projection) {
  bson::Writer find;
  find.string("find", collection).open_document("filter").open_document("_id").open_array("$in");
  bool collate = false;
  for (size_t i = 0; i < ids.size(); ++i) {
    find.value(bson::index_name(i), ids[i]);
    collate = collate || needs_collation(ids[i].view());
  }
  find.close().close();
  if (projection.not_matching != nullptr) {
    find.open_array("$nor").document("0", *projection.not_matching).close();
  }
  find.close();
  if (projection.fields) {
    find.open_document("projection").int32("_id", 1);
    for (const std::string& name : *projection.fields) {
      if (name != "_id") find.int32(name, 1);  // twice would be an error
    }
    find.close();
  }
  find.int32("batchSize", static_cast<int32_t>(kBatch));
  // Conditions of the collection's own are meant in its own collation.
  if (collate && projection.not_matching == nullptr) append_simple_collation(find);
  find.open_document("readConcern").string("level", "local").close();
  return find.finish();
}

}  // namespace

bool needs_collation(const bson::Value& id) {
  return id.type == bson::Type::kString || id.type == bson::Type::kSymbol || id.is_container();
}

void append_simple_collation(bson::Writer& to) {
  to.open_document("collation").string("locale", "simple").close();
}

Status find_by_id(Client& client, const std::string& ns, std::span<const bson::OwnedValue> ids,
                  const Projection& projection,
                  const std::function<void(const bson::Document&)>& visit) {
  for (const bson::OwnedValue& id : ids) {
    if (!bson::why_no_id(id.view()).empty()) {
      return fail(ErrorCode::kInvalidArgument, "read documents", ns, "a value that can be no _id");
    }
  }
  const Names names = split(ns);
  for (size_t from = 0; from < ids.size();) {
    size_t to = from;
    size_t bytes = 0;
    while (to < ids.size() && to - from < kBatch && (to == from || bytes < kBatchBytes)) {
      bytes += ids[to++].bytes.size();
    }
    auto done = client.each(
        names.database, find_command(names.collection, ids.subspan(from, to - from), projection),
        "read documents", [&](const bson::Document& d) {
          visit(d);
          return true;
        });
    if (!done) return done;
    from = to;
  }
  return {};
}

Result<std::vector<size_t>> refused_by_validator(Client& client, Catalog& catalog,
                                                 const std::string& ns,
                                                 std::span<const bson::OwnedValue> ids) {
  std::vector<size_t> refused;
  if (series::holds_measurements(ns)) return refused;  // they have none
  const auto target = catalog.collection(ns);
  if (!target) return tl::unexpected<Error>(target.error());
  if (target->validator.empty()) return refused;
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < ids.size(); ++i) places[canonical_key(ids[i].view())] = i;
  const auto note = [&](const bson::Document& document) {
    const auto id = document.find("_id");
    const auto found = id ? places.find(canonical_key(*id)) : places.end();
    if (found != places.end()) refused.push_back(found->second);
  };
  const bson::Document validator(target->validator);
  const Projection wanted{std::vector<std::string>(), &validator};
  if (Status found = find_by_id(client, ns, ids, wanted, note); !found) {
    return tl::unexpected<Error>(found.error());
  }
  return refused;
}

Result<std::vector<std::optional<std::string>>> DocumentReader::read(
    const std::string& ns, std::span<const bson::OwnedValue> ids) {
  std::vector<std::optional<std::string>> found(ids.size());
  auto done = look(ns, ids, std::nullopt, [&](size_t index, const bson::Document& document) {
    found[index] = std::string(document.bytes());
  });
  if (!done) return tl::unexpected<Error>(done.error());
  return found;
}

Result<StoreFound> DocumentReader::find(const std::string& database, const std::string& command) {
  StoreFound found;
  std::string next = command;
  for (;;) {
    auto reply = client_.run(database, next);
    if (!reply) return tl::unexpected<Error>(reply.error());
    if (!reply->ok) {
      found.refusal = std::move(reply->bytes);
      return found;
    }
    const bson::Document cursor = sub(reply->document(), "cursor");
    for (const char* batch : {"firstBatch", "nextBatch"}) {
      for (const bson::Element& e : sub(cursor, batch)) {
        if (e.value.type != bson::Type::kDocument) continue;
        found.documents.emplace_back(e.value.as_document().bytes());
      }
    }
    const int64_t id = integer(cursor, "id");
    if (id == 0) return found;
    bson::Writer more;
    more.int64("getMore", id);
    more.string("collection", split(text(cursor, "ns")).collection);
    next = more.finish();
  }
}

Status DocumentReader::look(
    const std::string& ns, std::span<const bson::OwnedValue> ids,
    const std::optional<std::vector<std::string>>& fields,
    const std::function<void(size_t index, const bson::Document& document)>& visit) {
  if (series::holds_measurements(ns)) return {};
  if (Status there = holds_documents(ns); !there) return there;
  std::multimap<std::string, size_t> wanted;
  for (size_t i = 0; i < ids.size(); ++i) wanted.emplace(canonical_key(ids[i].view()), i);
  Status looked =
      find_by_id(client_, ns, ids, {fields, nullptr}, [&](const bson::Document& document) {
        const auto id = document.find("_id");
        if (!id) return;
        const auto [from, to] = wanted.equal_range(canonical_key(*id));
        for (auto it = from; it != to; ++it) visit(it->second, document);
      });
  const bool refused = !looked && looked.error().code == ErrorCode::kRefused;
  if (!refused || !catalog_.forget_target(ns)) return looked;
  const Status still = holds_documents(ns);  // a view may have come in its place
  return still ? looked : still;
}

Result<std::vector<int64_t>> DocumentReader::count_measurements(
    const std::string& collection, std::span<const bson::Document> measurements) {
  const auto target = catalog_.target_now(collection);
  if (!target) return tl::unexpected<Error>(target.error());
  if (target->type != CollectionInfo::Type::kTimeSeries) {
    return std::vector<int64_t>(measurements.size());
  }
  return count_equal(client_, collection, *target, measurements);
}

// What is no collection shows documents that are none of its own, or refuses to show any: whatever
// its pipeline says.
Status DocumentReader::holds_documents(const std::string& ns) {
  auto found = catalog_.target(ns);
  // Who may not ask may still read.
  if (!found && found.error().code == ErrorCode::kRefused) return {};
  if (!found) return tl::unexpected<Error>(found.error());
  if (found->type != CollectionInfo::Type::kView &&
      found->type != CollectionInfo::Type::kTimeSeries) {
    return {};
  }
  return fail(ErrorCode::kInvalidArgument, "read documents", ns,
              "what has this name here is no collection");
}

}  // namespace outrigger::mongo
