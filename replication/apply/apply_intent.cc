#include "replication/apply/apply_intent.h"

#include "replication/record/bytes.h"
#include "replication/site/state/aside.h"

namespace outrigger {
namespace {

constexpr uint8_t kVersion = 3;
constexpr uint8_t kVersionWithoutBirths = 2;

// Smallest encodings, so that a count can be refused before anything is read for it.
constexpr size_t kVectorEntryBytes = 32;
constexpr size_t kWriteBytes = 10;
constexpr uint32_t kBirthsMax = 1u << 22;  // of one record
constexpr size_t kSetBytes = 9;
constexpr size_t kPathBytes = 4;
constexpr size_t kNameBytes = 4;
constexpr size_t kMetBytes = 8;
constexpr size_t kMetPairBytes = 64;

void put_count(ByteWriter& out, size_t count) { out.u32(static_cast<uint32_t>(count)); }

void put_path(ByteWriter& out, const Path& path) {
  put_count(out, path.size());
  for (const std::string& name : path) out.bytes32(name);
}

void put_births(ByteWriter& out, const ApplyIntent::Births& births) {
  out.u8(static_cast<uint8_t>(StoreWrite::Kind::kInsert));
  out.origin(births.record.origin);
  out.u64(births.record.hlc);
  out.u32(births.first);
  out.u32(births.count);
}

void put_write(ByteWriter& out, const StoreWrite& write) {
  OUTRIGGER_ASSERT(write.kind != StoreWrite::Kind::kInsert);  // it is of some births
  out.u8(static_cast<uint8_t>(write.kind));
  out.bytes32(write.ns);
  out.value32(write.id);
  if (write.kind == StoreWrite::Kind::kReplaceOrInsert) out.bytes32(write.document);
  if (write.kind != StoreWrite::Kind::kUpdate) return;
  put_count(out, write.set.size());
  for (const StoreWrite::Set& set : write.set) {
    put_path(out, set.path);
    out.value32(set.value);
  }
  put_count(out, write.unset.size());
  for (const Path& path : write.unset) put_path(out, path);
}

Path read_path(ByteReader& in) {
  Path path;
  for (size_t n = in.count32(kNameBytes); n > 0 && in.ok(); --n) path.emplace_back(in.bytes32());
  return path;
}

void read_births(ByteReader& in, ApplyIntent& intent) {
  ApplyIntent::Births births;
  births.at = intent.writes.size();
  births.record.origin = in.origin();
  births.record.hlc = in.u64();
  births.first = in.u32();
  births.count = in.u32();
  if (births.count == 0 || births.count > kBirthsMax) return in.fail("no number of births");
  StoreWrite insert;
  insert.kind = StoreWrite::Kind::kInsert;
  intent.writes.resize(intent.writes.size() + births.count, insert);
  intent.births.push_back(births);
}

StoreWrite read_write(ByteReader& in, StoreWrite::Kind kind) {
  StoreWrite write;
  write.kind = kind;
  write.ns = in.bytes32();
  write.id = in.value32();
  if (write.kind == StoreWrite::Kind::kReplaceOrInsert) write.document = in.bytes32();
  if (write.kind != StoreWrite::Kind::kUpdate) return write;
  for (size_t n = in.count32(kSetBytes); n > 0 && in.ok(); --n) {
    Path path = read_path(in);
    write.set.push_back({std::move(path), in.value32()});
  }
  for (size_t n = in.count32(kPathBytes); n > 0 && in.ok(); --n) {
    write.unset.push_back(read_path(in));
  }
  return write;
}

}  // namespace

std::string encode_intent(const ApplyIntent& intent) {
  ByteWriter out;
  out.u8(kVersion);
  put_count(out, intent.after.entries().size());
  for (const auto& [origin, hlc] : intent.after.entries()) {
    out.origin(origin);
    out.u64(hlc);
  }
  size_t born = 0;
  for (const ApplyIntent::Births& births : intent.births) born += births.count;
  put_count(out, intent.writes.size() - born + intent.births.size());
  auto births = intent.births.begin();
  for (size_t i = 0; i < intent.writes.size();) {
    if (births != intent.births.end() && births->at == i) {
      put_births(out, *births);
      i += births++->count;
    } else {
      put_write(out, intent.writes[i++]);
    }
  }
  put_count(out, intent.met.size());
  for (const auto& [key, met] : intent.met) {
    out.bytes32(key);
    put_count(out, met.size());
    for (const auto& [a, b] : met) {
      out.dot_be(a);
      out.dot_be(b);
    }
  }
  return out.take();
}

Result<ApplyIntent> decode_intent(std::string_view bytes) {
  ByteReader in(bytes, "apply intent");
  const uint8_t version = in.u8();
  if (version != kVersion && version != kVersionWithoutBirths) in.fail("unknown format version");
  ApplyIntent intent;
  for (size_t n = in.count32(kVectorEntryBytes); n > 0 && in.ok(); --n) {
    const Origin origin = in.origin();
    intent.after.raise(origin, in.u64());
  }
  for (size_t n = in.count32(kWriteBytes); n > 0 && in.ok(); --n) {
    const auto kind = static_cast<StoreWrite::Kind>(in.u8());
    if (kind == StoreWrite::Kind::kInsert && version == kVersion) {
      read_births(in, intent);
    } else if (kind > StoreWrite::Kind::kRemove) {
      in.fail("unknown kind of write");
    } else {
      intent.writes.push_back(read_write(in, kind));
    }
  }
  for (size_t n = in.count32(kMetBytes); n > 0 && in.ok(); --n) {
    Met& met = intent.met[std::string(in.bytes32())];
    for (size_t each = in.count32(kMetPairBytes); each > 0 && in.ok(); --each) {
      const Dot first = in.dot_be();
      met.emplace(first, in.dot_be());
    }
  }
  in.end();
  if (!in.ok()) return in.error();
  return intent;
}

}  // namespace outrigger
