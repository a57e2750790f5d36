#include "replication/store/mongo/mongo_statements.h"

#include "replication/store/mongo/mongo_read.h"

namespace outrigger::mongo {

bool needs_literal(const bson::Document& document) {
  static const std::string kZeroTimestamp(8, '\0');
  for (const bson::Element& e : document) {
    if (e.name.starts_with('$')) return true;
    const bool is_time = e.value.type == bson::Type::kTimestamp && e.name != "_id";
    if (is_time && e.value.bytes == kZeroTimestamp) return true;  // mongod would fill it in
  }
  return false;
}

namespace {

void append_filter(bson::Writer& to, const bson::OwnedValue& id) {
  to.open_document("q");
  if (id.view().is_container()) {
    to.open_document("_id").value("$eq", id).close();
  } else {
    to.value("_id", id);
  }
  to.close();
}

}  // namespace

std::string whole_document(const StoreWrite& write) {
  const bson::Document document(write.document);
  bson::Writer whole;
  const auto first = document.first();
  if (first && first->name == "_id") return write.document;
  whole.value("_id", document.find("_id").value_or(write.id.view()));
  for (const bson::Element& e : document) {
    if (e.name != "_id") whole.element(e);
  }
  return whole.finish();
}

std::string removal(const StoreWrite& write) {
  bson::Writer w;
  append_filter(w, write.id);
  w.int32("limit", 1);
  if (needs_collation(write.id.view())) append_simple_collation(w);
  return w.finish();
}

std::string modification(const StoreWrite& write) {
  bson::Writer w;
  append_filter(w, write.id);
  w.open_document("u").open_document("$set");  // there even when empty: {} would be a replacement
  for (const StoreWrite::Set& set : write.set) w.value(dotted(set.path), set.value);
  w.close();
  if (!write.unset.empty()) {
    w.open_document("$unset");
    for (const Path& path : write.unset) w.boolean(dotted(path), true);
    w.close();
  }
  w.close();
  if (needs_collation(write.id.view())) append_simple_collation(w);
  return w.finish();
}

std::string replacement(const StoreWrite& write, const std::string& whole, bool literal) {
  bson::Writer w;
  append_filter(w, write.id);
  if (literal) {
    w.open_array("u").open_document("0").open_document("$replaceWith");
    w.document("$literal", bson::Document(whole)).close().close().close();
  } else {
    w.document("u", bson::Document(whole));
  }
  w.boolean("upsert", true);
  if (needs_collation(write.id.view())) append_simple_collation(w);
  return w.finish();
}

}  // namespace outrigger::mongo
