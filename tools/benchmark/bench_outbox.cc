// bench_outbox DATA_DIR: what an outbox keeps, family by family: how many keys, their bytes and
// those of their values, as they were written. The sidecar it belongs to has ended.
//
// Prints one line of JSON.
#include <rocksdb/db.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "replication/outbox/rocks/rocks.h"

namespace outrigger::outbox {
namespace {

int die(const rocksdb::Status& status) {
  std::fprintf(stderr, "bench_outbox: %s\n", status.ToString().c_str());
  return 1;
}

int print(const std::string& dir) {
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  auto status =
      rocksdb::DB::OpenForReadOnly(rocks_options(RocksOutboxOptions()), dir,
                                   rocks_families(RocksOutboxOptions()), &handles, &opened);
  if (!status.ok()) return die(status);
  const std::unique_ptr<rocksdb::DB> db(opened);
  const char* before = "{";
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    const std::unique_ptr<rocksdb::Iterator> each(db->NewIterator(rocksdb::ReadOptions(), handle));
    size_t keys = 0, key_bytes = 0, value_bytes = 0;
    for (each->SeekToFirst(); each->Valid(); each->Next()) {
      ++keys;
      key_bytes += each->key().size();
      value_bytes += each->value().size();
    }
    if (!each->status().ok()) return die(each->status());
    std::printf("%s\"%s\": {\"keys\": %zu, \"key_bytes\": %zu, \"value_bytes\": %zu}", before,
                handle->GetName().c_str(), keys, key_bytes, value_bytes);
    before = ", ";
    status = db->DestroyColumnFamilyHandle(handle);
    if (!status.ok()) return die(status);
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
