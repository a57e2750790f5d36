// bench_outbox DATA_DIR: what an outbox keeps, family by family: how many keys, their bytes and
// those of their values, as they were written. The sidecar it belongs to has ended.
//
// Prints one line of JSON.
#include <rocksdb/db.h>

#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "replication/outbox/rocks/rocks.h"

namespace outrigger::outbox {
namespace {

int die(const rocksdb::Status& status) {
  std::fprintf(stderr, "bench_outbox: %s\n", status.ToString().c_str());
  return 1;
}

struct Kept {
  size_t keys = 0;
  size_t key_bytes = 0;
  size_t value_bytes = 0;
};

// What is kept in a family; of rows, whose keys begin with it, by namespace: "versions bench.a".
rocksdb::Status add(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* handle,
                    std::map<std::string, Kept>& out) {
  const std::unique_ptr<rocksdb::Iterator> each(db.NewIterator(rocksdb::ReadOptions(), handle));
  const std::string family = handle->GetName();
  out[family];
  for (each->SeekToFirst(); each->Valid(); each->Next()) {
    const std::string_view key = view(each->key());
    std::string name = family;
    if (family == "versions") name.append(" ").append(key.substr(0, key.find('\0')));
    Kept& kept = out[name];
    ++kept.keys;
    kept.key_bytes += key.size();
    kept.value_bytes += each->value().size();
  }
  return each->status();
}

int print(const std::string& dir) {
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  const RocksOutboxOptions options;
  auto status = rocksdb::DB::OpenForReadOnly(rocks_options(options), dir, rocks_families(options),
                                             &handles, &opened);
  if (!status.ok()) return die(status);
  const std::unique_ptr<rocksdb::DB> db(opened);
  std::map<std::string, Kept> kept;
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    status = add(*db, handle, kept);
    if (status.ok()) status = db->DestroyColumnFamilyHandle(handle);
    if (!status.ok()) return die(status);
  }
  const char* before = "{";
  for (const auto& [name, of] : kept) {
    std::printf("%s\"%s\": {\"keys\": %zu, \"key_bytes\": %zu, \"value_bytes\": %zu}", before,
                name.c_str(), of.keys, of.key_bytes, of.value_bytes);
    before = ", ";
  }
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace outrigger::outbox

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bench_outbox DATA_DIR\n");
    return 2;
  }
  return outrigger::outbox::print(argv[1]);
}
