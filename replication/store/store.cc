#include "replication/store/store.h"

#include <algorithm>

#include "replication/bson/layout.h"

namespace outrigger {
namespace {

bool is_plain_name(const std::string& name) {
  return is_plain_field(name) &&
         !std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

const std::string kNoElection(12, '\0');

}  // namespace

size_t members_shown(const bson::Document& hello) {
  size_t shown = 0;
  for (const char* field : {"hosts", "passives", "arbiters"}) {
    const auto names = hello.find(field);
    if (!names || names->type != bson::Type::kArray) continue;
    for ([[maybe_unused]] const bson::Element& each : names->as_document()) ++shown;
  }
  return shown;
}

Timestamp timestamp_of(const std::optional<bson::Value>& value) {
  if (!value || value->type != bson::Type::kTimestamp) return {};
  return {bson::internal::load<uint32_t>(value->bytes.data() + 4),
          bson::internal::load<uint32_t>(value->bytes.data())};
}

std::string process_of(const bson::Document& hello) {
  std::string name;
  const auto version = hello.find("topologyVersion");
  const auto process = version && version->type == bson::Type::kDocument
                           ? version->as_document().find("processId")
                           : std::nullopt;
  if (process && process->type == bson::Type::kObjectId) name = process->bytes;
  const auto is_set = [&](std::string_view field) {
    const auto value = hello.find(field);
    return value && value->truthy();
  };
  if (members_shown(hello) < 2 && !is_set("isreplicaset")) return name;
  name.resize(kProcessBytes);
  const auto election = hello.find("electionId");
  const bool is_primary = (is_set("isWritablePrimary") || is_set("ismaster")) && election &&
                          election->type == bson::Type::kObjectId;
  return name + (is_primary ? std::string(election->bytes) : kNoElection);
}

std::string_view process_part(std::string_view process) {
  return process.substr(0, std::min(process.size(), kProcessBytes));
}

bool is_of_several(std::string_view process) { return process.size() > kProcessBytes; }

bool is_follower(std::string_view process) {
  return process.size() > kProcessBytes && process.substr(kProcessBytes) == kNoElection;
}

bool is_of_earlier_term(std::string_view process, std::string_view than) {
  if (process.size() <= kProcessBytes || than.size() <= kProcessBytes) return false;
  return process.substr(kProcessBytes) < than.substr(kProcessBytes);
}

bool is_of_another_election(const bson::Document& reply, std::string_view process) {
  if (process.size() <= kProcessBytes) return false;
  const auto election = reply.find("electionId");
  return election && election->type == bson::Type::kObjectId &&
         election->bytes != process.substr(kProcessBytes);
}

Result<bool> is_capped(StoreCatalog& catalog, const std::string& ns) {
  const auto info = catalog.collection(ns);
  if (info) return info->capped;
  if (info.error().code == ErrorCode::kRefused) return false;
  return tl::unexpected(info.error());
}

// "E11000 duplicate key error collection: a.b index: email_1 dup key: { ... }", with " collation: "
// and what that is before the key where the index has one.
std::string unique_index_of(const WriteOutcome& outcome) {
  constexpr int32_t kDuplicateKey = 11000;
  constexpr std::string_view kIndex = " index: ";
  if (outcome.kind != WriteOutcome::Kind::kRejected || outcome.code != kDuplicateKey) return {};
  std::string_view words = outcome.message;
  const size_t begin = words.find(kIndex);
  if (begin == std::string_view::npos) return {};
  words.remove_prefix(begin + kIndex.size());
  words = words.substr(0, words.find(" dup key:"));
  words = words.substr(0, words.find(" collation:"));
  return words == "_id_" ? std::string() : std::string(words);
}

Result<std::vector<OpenTransaction>> StoreFence::open_transactions() {
  return fail(ErrorCode::kUnsupported, "list transactions", "", "this kind of store has none");
}

Result<std::vector<ListedDocument>> StoreReader::list(const std::string& ns, int64_t count) {
  const size_t dot = ns.find('.');
  bson::Writer ask;
  ask.string("find", ns.substr(dot + 1)).open_document("projection").int32("_id", 1);
  ask.open_document("bytes").string("$bsonSize", "$$ROOT").close().close();
  ask.open_document("hint").int32("$natural", 1).close().int64("limit", count);
  auto found = find(ns.substr(0, dot), ask.finish());
  if (!found) return tl::unexpected(found.error());
  if (!found->refusal.empty()) {
    return fail(ErrorCode::kUnavailable, "list documents", ns,
                bson::to_json(bson::Document(found->refusal), 300));
  }
  std::vector<ListedDocument> listed;
  listed.reserve(found->documents.size());
  for (const std::string& each : found->documents) {
    const auto id = bson::Document(each).find("_id");
    const auto bytes = bson::Document(each).find("bytes");
    if (id) listed.push_back({bson::OwnedValue(*id), bytes ? bytes->to_int64().value_or(0) : 0});
  }
  return listed;
}

Result<std::string> run_of(Store& store) {
  if (Status alive = store.ping(); !alive) return tl::unexpected(alive.error());
  return store.process_id();
}

Result<std::string> settled_run(Store& store) {
  const auto before = run_of(store);
  if (!before) return before;
  if (Status settled = store.wait_settled(); !settled) return tl::unexpected(settled.error());
  const auto after = run_of(store);
  if (!after || *after == *before) return after;
  return fail(ErrorCode::kUnavailable, "wait for the journal", "", "another run of it answers",
              "it is tried again");
}

Result<std::vector<int64_t>> StoreReader::count_measurements(
    const std::string& collection, std::span<const bson::Document> /*measurements*/) {
  return fail(ErrorCode::kUnsupported, "count measurements", collection,
              "this kind of store has no time series");
}

bool is_plain_field(std::string_view name) {
  if (name.empty() || name.front() == '$') return false;
  return name.find('.') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

Result<std::vector<WriteOutcome>> StoreWriter::apply(std::span<const StoreWrite> writes) {
  Applied applied = apply_in_order(writes);
  if (applied.stopped) return tl::unexpected<Error>(std::move(*applied.stopped));
  return std::move(applied.outcomes);
}

bool is_dotted_path(const Path& path) {
  return !path.empty() && std::all_of(path.begin(), path.end(), is_plain_name);
}

std::string dotted(const Path& path) {
  OUTRIGGER_ASSERT(is_dotted_path(path));
  std::string text;
  for (const std::string& name : path) {
    if (!text.empty()) text += '.';
    text += name;
  }
  return text;
}

Path undotted(std::string_view dotted) {
  Path path;
  while (true) {
    const size_t dot = dotted.find('.');
    path.emplace_back(dotted.substr(0, dot));
    if (dot == std::string_view::npos) return path;
    dotted.remove_prefix(dot + 1);
  }
}

}  // namespace outrigger
