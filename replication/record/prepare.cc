#include "replication/record/prepare.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <iterator>

#include "replication/record/bytes.h"
#include "replication/series/measurement.h"

namespace outrigger {
namespace {

constexpr uint8_t kVersion = 3;
constexpr uint8_t kVersionOfTransaction = 4;
constexpr uint8_t kVersionWithInserts = 2;
constexpr uint8_t kNamesApp = 0x10;  // added to one of these: an app follows
constexpr uint8_t kYields = 5;       // a removal's code is 5, and why it yields
constexpr size_t kCountMax = 1u << 22;
constexpr size_t kSessionFixedBytes = 32;
constexpr size_t kDecodedBytesMax = size_t{1} << 30;

// What may be promised of a path, in the order of the codes, which begin at 1.
constexpr Operation kOfPaths[] = {Operation::kAssign, Operation::kUnset, Operation::kIncrement,
                                  Operation::kUnknown, Operation::kEdit};

uint8_t code_of(Operation operation) {
  const auto at = std::find(std::begin(kOfPaths), std::end(kOfPaths), operation);
  OUTRIGGER_ASSERT(at != std::end(kOfPaths));
  return static_cast<uint8_t>(at - std::begin(kOfPaths) + 1);
}

void put_path(ByteWriter& out, const Path& path) {
  out.varint(path.size());
  for (const std::string& name : path) out.bytes(name);
}

void put_document(ByteWriter& out, const PreparedDocument& document) {
  out.bytes(document.ns);
  const bool yields = document.removal != Removal::kPlain;
  out.u8(yields ? static_cast<uint8_t>(kYields + static_cast<uint8_t>(document.removal))
                : static_cast<uint8_t>(document.what));
  const bool counts = !document.version_field.empty();
  out.u8(static_cast<uint8_t>(document.whole | document.told_whole << 1 | counts << 2));
  if (counts) put_path(out, document.version_field);
  out.value(document.id);
  out.bytes(document.document);
  out.varint(document.paths.size());
  for (const PreparedPath& path : document.paths) {
    out.u8(code_of(path.kind));
    put_path(out, path.path);
    out.value(path.value);
  }
}

// A byte that must be one of 1..most, or 0..1 for flags.
uint8_t read_choice(ByteReader& in, uint8_t least, uint8_t most) {
  const uint8_t choice = in.u8();
  if (choice < least || choice > most) in.fail("unknown choice");
  return choice;
}

Path read_names(ByteReader& in) {
  Path path;
  const size_t depth = in.count(kCountMax, 1);
  in.spend(depth * sizeof(std::string));
  for (size_t i = 0; i < depth && in.ok(); ++i) {
    const std::string_view name = in.bytes();
    path.emplace_back(name);
  }
  return path;
}

PreparedPath read_path(ByteReader& in) {
  PreparedPath path;
  const uint8_t code = read_choice(in, 1, std::size(kOfPaths));
  if (in.ok()) path.kind = kOfPaths[code - 1];
  path.path = read_names(in);
  path.value = in.value();
  if (path.kind == Operation::kIncrement && in.ok() && !path.value.view().is_number()) {
    in.fail("increment that is not a number");
  }
  if (path.kind == Operation::kEdit && in.ok() && path.value.type != bson::Type::kArray) {
    in.fail("added to an array, and no array itself");
  }
  return path;
}

PreparedDocument read_document(ByteReader& in, uint8_t version) {
  PreparedDocument document;
  document.ns = in.bytes();
  const uint8_t what = read_choice(in, 1, kYields + static_cast<uint8_t>(Removal::kExpiry));
  const bool yields = what > kYields;
  document.what =
      yields ? PreparedDocument::What::kRemove : static_cast<PreparedDocument::What>(what);
  if (yields) document.removal = static_cast<Removal>(what - kYields);
  const uint8_t whole = read_choice(in, 0, 7);
  document.whole = (whole & 1) != 0;
  document.told_whole = (whole & 2) != 0;
  if ((whole & 4) != 0) {
    document.version_field = read_names(in);
    if (document.version_field.empty()) in.fail("versions are counted nowhere");
  }
  document.id = in.value();
  document.document = in.bytes();
  const bool is_insert = document.what == PreparedDocument::What::kInsert;
  const bool is_digest =
      is_insert && version == kVersion && !series::holds_measurements(document.ns);
  if (!is_digest && !document.document.empty() && !bson::validate(document.document)) {
    in.fail("document not well formed");
  }
  if (is_insert && version == kVersionWithInserts && in.ok()) {
    document.document = document_digest(bson::Document(document.document));
  }
  const size_t paths = in.count(kCountMax, 3);
  for (size_t i = 0; i < paths && in.ok(); ++i) {
    in.spend(sizeof(PreparedPath));
    document.paths.push_back(read_path(in));
  }
  return document;
}

// What is in it is the store's; here it only has to end.
std::string_view read_session(ByteReader& in) {
  const size_t start = in.read().size();
  in.raw(kSessionFixedBytes);
  const size_t numbers = in.count(kCountMax, 1);
  for (size_t i = 0; i < numbers && in.ok(); ++i) {
    if (in.varint() > UINT32_MAX) in.fail("number of a session beyond 32 bits");
  }
  return in.read().substr(start);
}

bool is_session(std::string_view bytes) {
  ByteReader in(bytes, "session");
  read_session(in);
  in.end();
  return in.ok();
}

}  // namespace

std::string document_digest(const bson::Document& document) {
  // Usually _id is the first field, and what follows it one piece.
  std::string_view rest;
  std::string pieces;
  auto field = document.begin();
  if (field != document.end() && field->name == "_id") ++field;
  if (field != document.end()) {
    const std::string_view all = document.bytes();
    rest = all.substr(static_cast<size_t>(field->name.data() - 1 - all.data()));
    rest.remove_suffix(1);
  }
  // Nearly always these bytes stand nowhere in it; finding that out is a fraction of a walk.
  const bool may_repeat = rest.find(std::string_view("_id", 4)) != std::string_view::npos;
  for (auto at = field; may_repeat && at != document.end(); ++at) {
    if (at->name != "_id") continue;
    for (auto each = field; each != document.end(); ++each) {
      if (each->name == "_id") continue;
      pieces.push_back(static_cast<char>(each->value.type));
      pieces.append(each->name).append(1, '\0').append(each->value.bytes);
    }
    rest = pieces;
    break;
  }
  XXH128_canonical_t digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits(rest.data(), rest.size()));
  return {reinterpret_cast<const char*>(digest.digest), sizeof digest.digest};
}

std::string encode_prepare(const Prepare& prepare) {
  ByteWriter out;
  out.reserve(96 * (prepare.documents.size() + 1));
  const uint8_t version = prepare.transaction ? kVersionOfTransaction : kVersion;
  out.u8(prepare.app.empty() ? version : version | kNamesApp);
  out.u64(prepare.hlc);
  out.origin(prepare.origin);
  out.vector(prepare.deps);
  OUTRIGGER_ASSERT(is_session(prepare.session));  // or nothing behind it could be read again
  out.raw(prepare.session);
  out.varint(prepare.documents.size());
  for (const PreparedDocument& document : prepare.documents) put_document(out, document);
  if (!prepare.app.empty()) out.app(prepare.app, {});
  return out.take();
}

Result<Prepare> decode_prepare(std::string_view bytes) {
  ByteReader in(bytes, "prepare", kDecodedBytesMax);
  Prepare prepare;
  const uint8_t first = in.u8();
  const bool names_app = (first & kNamesApp) != 0;
  const uint8_t version = first & ~kNamesApp;
  prepare.transaction = version == kVersionOfTransaction;
  const bool is_known =
      prepare.transaction || version == kVersion || version == kVersionWithInserts;
  if (!is_known) in.fail("unknown format version");
  prepare.hlc = in.u64();
  prepare.origin = in.origin();
  const size_t deps = in.count(kCountMax, 32);
  for (size_t i = 0; i < deps && in.ok(); ++i) {
    const Origin origin = in.origin();
    const Hlc hlc = in.u64();
    if (hlc == 0) in.fail("dependency without a stamp");
    prepare.deps.raise(origin, hlc);
  }
  prepare.session = read_session(in);
  const size_t documents = in.count(kCountMax, 7);
  for (size_t i = 0; i < documents && in.ok(); ++i) {
    in.spend(sizeof(PreparedDocument));
    prepare.documents.push_back(read_document(in, version));
  }
  if (names_app) prepare.app = in.app({});
  if (names_app && prepare.app.empty()) in.fail("an app without a name");
  in.end();
  if (!in.ok()) return in.error();
  return prepare;
}

}  // namespace outrigger
