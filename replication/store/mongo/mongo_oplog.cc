#include "replication/store/mongo/mongo_oplog.h"

#include <algorithm>
#include <map>
#include <set>

namespace outrigger::mongo {
namespace {

constexpr uint32_t kSlotSecondsMax = 60;
constexpr size_t kSessionsInFilter = 10'000;  // beyond that, filter here

std::vector<int32_t> statement_ids(const bson::Document& entry) {
  const auto id = entry.find("stmtId");
  std::vector<int32_t> ids;
  if (!id) return ids;
  if (const auto one = id->to_int64()) {
    ids.push_back(static_cast<int32_t>(*one));
  } else if (id->type == bson::Type::kArray) {
    for (const bson::Element& e : id->as_document()) {
      if (const auto each = e.value.to_int64()) ids.push_back(static_cast<int32_t>(*each));
    }
  }
  return ids;
}

// Puts the entries of one scan together.
class OplogReader {
 public:
  explicit OplogReader(std::span<const std::string> lsid_ids)
      : wanted_(lsid_ids.begin(), lsid_ids.end()) {}

  void entry(const bson::Document& e) {
    OplogWrite frame;
    frame.lsid_id = binary(sub(e, "lsid"), "id");
    if (!wanted_.contains(frame.lsid_id)) return;
    frame.lsid_uid = binary(sub(e, "lsid"), "uid");
    frame.at = timestamp(e, "ts");
    frame.txn_number = integer(e, "txnNumber", -1);
    if (text(e, "op") == "c") {
      command(e, frame);
    } else {
      operation(e, frame, writes_);
    }
  }

  // A transaction whose first entries lie before the scan: nothing sound can be said of it.
  [[nodiscard]] bool torn() const { return torn_; }
  [[nodiscard]] std::vector<OplogWrite> take() { return std::move(writes_); }

 private:
  using Key = std::pair<std::string, int64_t>;

  void command(const bson::Document& e, const OplogWrite& frame) {
    const bson::Document o = sub(e, "o");
    const Key key{frame.lsid_id, frame.txn_number};
    std::vector<OplogWrite>& open = open_[key];
    if (o.has("abortTransaction")) {
      open_.erase(key);
      return;
    }
    const size_t before = open.size();
    for (const bson::Element& inner : sub(o, "applyOps")) {
      if (inner.value.is_container()) operation(inner.value.as_document(), frame, open);
    }
    const bool transaction = !e.has("multiOpType");
    for (size_t i = before; i < open.size(); ++i) {
      open[i].transaction = transaction && open[i].stmt_ids.empty();
    }
    if (truthy(o, "partialTxn") || truthy(o, "prepare")) return;
    const int64_t count = integer(o, "count", static_cast<int64_t>(open.size()));
    torn_ = torn_ || count > static_cast<int64_t>(open.size());
    for (OplogWrite& write : open) {
      write.at = frame.at;  // a transaction commits with its last entry
      writes_.push_back(std::move(write));
    }
    open_.erase(key);
  }

  static void operation(const bson::Document& e, const OplogWrite& frame,
                        std::vector<OplogWrite>& into) {
    const std::string op = text(e, "op");
    if (op != "i" && op != "u" && op != "d") return;  // no-ops carry images, not writes
    OplogWrite write = frame;
    write.kind = static_cast<OplogWrite::Kind>(op.front());
    write.ns = text(e, "ns");
    const bson::Document o = sub(e, "o");
    write.o = std::string(o.bytes());
    const auto id = (op == "u" ? sub(e, "o2") : o).find("_id");
    if (id) write.id = bson::OwnedValue(*id);
    write.stmt_ids = statement_ids(e);
    into.push_back(std::move(write));
  }

  std::set<std::string> wanted_;
  std::map<Key, std::vector<OplogWrite>> open_;
  std::vector<OplogWrite> writes_;
  bool torn_ = false;
};

std::string scan(Timestamp since, std::span<const std::string> lsid_ids) {
  constexpr uint8_t kUuid = 4;
  bson::Writer find;
  find.string("find", "oplog.rs").open_document("filter");
  find.open_document("ts").timestamp("$gte", since.seconds, since.increment).close();
  if (lsid_ids.size() <= kSessionsInFilter) {
    find.open_document("lsid.id").open_array("$in");
    for (size_t i = 0; i < lsid_ids.size(); ++i) {
      find.binary(bson::index_name(i), kUuid, lsid_ids[i]);
    }
    find.close().close();
  }
  find.close().open_document("sort").int32("$natural", 1).close();
  find.open_document("readConcern").string("level", "local").close();
  return find.finish();
}

}  // namespace

Result<Timestamp> Oplog::last_time() {
  const std::string step = "read oplog time";
  if (auto set = topology_.require_replica_set(step); !set)
    return tl::unexpected<Error>(set.error());
  auto hello = client_.must("admin", bson::Writer().int32("hello", 1).finish(), step);
  if (!hello) return tl::unexpected<Error>(hello.error());
  // Not the newest entry: beside it, slots given out earlier may still be empty. Majority-committed
  // means that everything before it is in place, on a set of one too.
  const bson::Document written = sub(hello->document(), "lastWrite");
  Timestamp at = timestamp(sub(written, "majorityOpTime"), "ts");
  auto of_kind = topology_.kind();
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  if (at == Timestamp{} && *of_kind == StoreKind::kMultiMember) {
    // There may be no majority for long. No slot is empty for as long as this.
    const Timestamp newest = timestamp(sub(written, "opTime"), "ts");
    at.seconds = newest.seconds - std::min(newest.seconds, kSlotSecondsMax);
  }
  if (at == Timestamp{}) {
    return fail(ErrorCode::kUnavailable, step, client_.name(), "nothing is majority-committed yet");
  }
  return at;
}

Status Oplog::watch(Store::Duration duration) {
  const std::string step = "watch oplog";
  auto last = last_time();
  if (!last) return tl::unexpected<Error>(last.error());
  // Shows nothing: it is there to wait.
  bson::Writer find;
  find.string("find", "oplog.rs").open_document("filter").open_document("ts");
  find.timestamp("$gte", last->seconds, last->increment).close().string("op", "none").close();
  find.boolean("tailable", true).boolean("awaitData", true).int32("batchSize", 1);
  auto found = client_.must("local", find.finish(), step);
  if (!found) return tl::unexpected<Error>(found.error());
  const int64_t id = integer(sub(found->document(), "cursor"), "id");
  if (id == 0) return fail(ErrorCode::kUnavailable, step, client_.name(), "no cursor stays open");
  bson::Writer wait;
  wait.int64("getMore", id).string("collection", "oplog.rs");
  wait.int64("maxTimeMS", duration.count());
  auto waited = client_.run("local", wait.finish());
  if (!waited) return tl::unexpected<Error>(waited.error());
  client_.kill_cursor("local", "oplog.rs", id);
  if (waited->ok) return {};
  return tl::unexpected(client_.refusal(step, waited->code, waited->message));
}

Result<Timestamp> Oplog::oldest_time() {
  bson::Writer find;
  find.string("find", "oplog.rs").open_document("sort").int32("$natural", 1).close();
  find.int32("limit", 1);
  Timestamp oldest;
  auto done = client_.each("local", find.finish(), "read oplog", [&](const bson::Document& e) {
    oldest = timestamp(e, "ts");
    return true;
  });
  if (!done) return tl::unexpected<Error>(done.error());
  return oldest;
}

Result<std::vector<OplogWrite>> Oplog::since(Timestamp since,
                                             std::span<const std::string> lsid_ids) {
  const std::string step = "read oplog";
  if (auto set = topology_.require_replica_set(step); !set)
    return tl::unexpected<Error>(set.error());
  OplogReader reader(lsid_ids);
  auto scanned = client_.each("local", scan(since, lsid_ids), step, [&](const bson::Document& e) {
    reader.entry(e);
    return true;
  });
  if (!scanned) return tl::unexpected<Error>(scanned.error());
  // Asked after the scan: entries may be cut off at the old end while it runs.
  auto oldest = oldest_time();
  if (!oldest) return tl::unexpected<Error>(oldest.error());
  if (*oldest > since || reader.torn()) {
    return fail(ErrorCode::kNotFound, step, client_.name(),
                "it no longer reaches back to the time asked for",
                "give mongod a larger oplog; the documents are compared instead");
  }
  return reader.take();
}

}  // namespace outrigger::mongo
