#include "proxy/capture/reads.h"

#include <algorithm>
#include <set>

#include "proxy/capture/unique_keys.h"
#include "replication/bson/id.h"

namespace outrigger {
namespace {

using bson::Document;

// What an update gives values to, and the fields of unique indexes where it replaces all (else that
// is only looked for): false where more is needed, or where a projection could mean something else.
bool add_paths(const RunItem& item, std::set<std::string>& paths) {
  if (!item.shape) return false;
  if (item.shape->form == UpdateShape::Form::kReplacement) {
    if (item.needs_keys == nullptr) return true;
    for (const Path& field : *item.needs_keys) {
      if (!is_plain_field(field.front())) return false;
      paths.insert(field.front());
    }
    return true;
  }
  if (item.shape->form != UpdateShape::Form::kLiteral) return false;
  for (const UpdateShape::Operation& op : item.shape->operations) {
    const bool is_key = item.needs_keys != nullptr && is_at_keys(op.path, *item.needs_keys);
    if (op.kind != Operation::kIncrement && !is_key) continue;
    if (!is_dotted_path(op.path)) return false;
    paths.insert(dotted(op.path));
  }
  return true;
}

// The paths of which these items need the values; nothing where they need more.
std::optional<std::vector<std::string>> paths_of_values(const std::vector<const RunItem*>& items) {
  std::set<std::string> paths;
  for (const RunItem* item : items) {
    if (!add_paths(*item, paths)) return std::nullopt;
  }
  std::vector<std::string> out;
  for (const std::string& path : paths) {  // in order: what encloses comes before what is in it
    const bool enclosed = std::any_of(out.begin(), out.end(), [&](const std::string& other) {
      return path.starts_with(other + ".");
    });
    if (!enclosed && path != "_id") out.push_back(path);
  }
  return out;
}

// No document has an _id that can be none, and asking for one may be an error.
void find_items(bson::Writer& out, const WriteCommand& command,
                const std::vector<const RunItem*>& items) {
  out.string("find", command.collection);
  if (items.size() == 1 && bson::why_no_id(items.front()->id.view()).empty()) {
    // Of one alone mongod needs no plan.
    out.open_document("filter").open_document("_id").value("$eq", items.front()->id);
    out.close().close();
    return;
  }
  out.open_document("filter").open_document("_id").open_array("$in");
  size_t count = 0;
  for (const RunItem* item : items) {
    if (bson::why_no_id(item->id.view()).empty()) out.value(bson::index_name(count++), item->id);
  }
  out.close().close().close();
}

}  // namespace

std::string build_sizes_find(const WriteCommand& command,
                             const std::vector<const RunItem*>& items) {
  bson::Writer out;
  find_items(out, command, items);
  out.open_document("projection").int32("_id", 1);
  out.open_document("bytes").string("$bsonSize", "$$ROOT").close().close();
  out.int32("batchSize", static_cast<int32_t>(items.size()) + 1);
  return out.finish();
}

std::string build_images_find(const WriteCommand& command, const std::vector<const RunItem*>& items,
                              Taken taken) {
  bson::Writer out;
  find_items(out, command, items);
  // Under the collection's collation, which its _id index has: no two that are equal are in it.
  const auto paths = taken == Taken::kBefore ? paths_of_values(items) : std::nullopt;
  if (paths) {
    out.open_document("projection").int32("_id", 1);
    for (const std::string& path : *paths) out.int32(path, 1);
    out.close();
  }
  out.int32("batchSize", static_cast<int32_t>(items.size()) + 1);
  return out.finish();
}

std::vector<const RunItem*> items_needing(const Run& run, Taken taken) {
  std::vector<const RunItem*> out;
  for (const RunItem& item : run.items) {
    const bool needs_before = item.needs_before || item.needs_keys != nullptr;
    if (taken == Taken::kBefore ? needs_before : item.needs_after) out.push_back(&item);
  }
  return out;
}

std::string build_images_message(const WriteCommand& command,
                                 const std::vector<const RunItem*>& items, Taken taken,
                                 const std::string& transaction, int32_t request_id) {
  bson::Writer out;
  const std::string find = build_images_find(command, items, taken);
  out.append_all(Document(find)).boolean("singleBatch", true);
  if (transaction.empty()) {
    out.open_document("readConcern").string("level", "local").close();
  } else {
    out.append_all(Document(transaction));
  }
  out.string("$db", command.database);
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()));
}

std::optional<Taken> image_in_answer(const WriteCommand& command) {
  if (command.kind != CommandKind::kFindAndModify || command.body.has("fields")) {
    return std::nullopt;
  }
  const auto is_new = command.body.find("new");
  return is_new && is_new->truthy() ? Taken::kAfter : Taken::kBefore;
}

void take_answered_image(const Document& reply, Images& images) {
  const auto value = reply.find("value");
  if (value && value->type == bson::Type::kDocument) take_image(value->as_document(), images);
}

std::string build_ids_find(const WriteCommand& command, const Statement& statement, size_t limit,
                           const std::vector<bson::OwnedValue>* among) {
  bson::Writer out;
  out.string("find", command.collection);
  if (among == nullptr) {
    out.document("filter", statement.filter);
  } else {
    out.open_document("filter").open_array("$and");
    out.open_document("0").open_document("_id").open_array("$in");
    for (size_t i = 0; i < among->size(); ++i) out.value(bson::index_name(i), (*among)[i]);
    out.close().close().close();
    out.document("1", statement.filter).close().close();
  }
  out.open_document("projection").int32("_id", 1).close();
  if (statement.sort && among == nullptr) out.value("sort", *statement.sort);
  if (statement.hint && among == nullptr) out.value("hint", *statement.hint);
  if (statement.has_collation) out.document("collation", statement.collation);
  if (command.let) out.value("let", *command.let);
  if (limit > 0) out.int64("limit", static_cast<int64_t>(limit)).boolean("singleBatch", true);
  return out.finish();
}

int64_t show_batch(const Document& reply, const Visit& visit) {
  int64_t left = 0;
  const auto cursor = reply.find("cursor");
  if (!cursor || cursor->type != bson::Type::kDocument) return left;
  for (const bson::Element& field : cursor->as_document()) {
    if (field.name == "id") left = field.value.to_int64().value_or(0);
    if (field.value.type != bson::Type::kArray) continue;
    for (const bson::Element& item : field.value.as_document()) {
      if (item.value.type == bson::Type::kDocument) visit(item.value.as_document());
    }
  }
  return left;
}

void take_image(const Document& document, Images& images) {
  const auto id = document.find("_id");
  if (id) images[bson::canonical_key(*id)] = std::string(document.bytes());
}

bool take_images(const std::string& message, Images& images) {
  const auto parsed = wire::parse_op_msg_trusted(message);
  if (!parsed || !is_ok(parsed->body)) return false;
  show_batch(parsed->body, [&](const Document& document) { take_image(document, images); });
  return true;
}

void take_size(const Document& document, Sizes& sizes) {
  const auto id = document.find("_id");
  const auto bytes = document.find("bytes");
  if (!id || !bytes) return;
  sizes[bson::canonical_key(*id)] = static_cast<size_t>(bytes->to_int64().value_or(0));
}

size_t fitting_items(const Run& run, const Sizes& sizes) {
  size_t total = 0;
  const auto fits = [&](const RunItem& item) {
    const size_t images = (item.needs_after ? 1 : 0) + (item.needs_before ? 1 : 0);
    if (images == 0) return true;
    const auto size = sizes.find(item.key);
    if (size != sizes.end()) total += images * size->second;
    return total <= kRunImagesBytesMax;
  };
  const auto end = std::find_if_not(run.items.begin() + 1, run.items.end(), fits);
  return static_cast<size_t>(end - run.items.begin());
}

}  // namespace outrigger
