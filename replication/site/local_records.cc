#include "replication/site/local_records.h"

#include <unordered_map>

#include "config/limits.h"
#include "replication/bson/fields.h"
#include "replication/merge/row.h"
#include "replication/merge/types/decompose.h"
#include "replication/outbox/cohorts.h"
#include "replication/outbox/writer_apps.h"
#include "replication/record/record_codec.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

// A record is sent whole, and taken whole into memory where it arrives. Roughly.
using limits::kRecordBytesMax;

// What names the field of an element and says what was done to it, beside its value.
constexpr size_t kAroundEffect = 64;

// An edit in elements may be told field by field, each with its path.
size_t bytes_told_apart(const PathChange& change) {
  // It is not known yet which fields differ.
  if (change.edit == ArrayEdit::kFound || !change.key.empty()) return 8 * change.value.bytes.size();
  const bool in_place = change.kind == Operation::kEdit && change.edit == ArrayEdit::kInPlace &&
                        change.value.type == bson::Type::kArray;
  if (!in_place) return 0;
  size_t changed = 0;
  const bool has_base = change.base && change.base->type == bson::Type::kArray;
  const std::string empty = bson::Writer().finish();
  const bson::Document before(has_base ? change.base->bytes : empty);
  auto old = before.begin();
  for (const bson::Element& each : change.value.view().as_document()) {
    if (old == before.end()) break;
    changed += (*old).value == each.value ? 0 : 1;
    ++old;
  }
  size_t around = kAroundEffect;
  for (const std::string& name : change.path) around += name.size();
  size_t bytes = 0;
  for (const ElementPart& part : change.parts) {
    size_t each = around;
    for (const std::string& name : part.path) each += name.size();
    bytes += each * (part.position ? 1 : changed);
  }
  return bytes;
}

// A rough count of what a change makes a record grow by. Where rules have a say, they may be told
// with each field of a document.
size_t memory_bytes(const DocumentChange& change, const Policy* policy) {
  const MergeRules rules = policy == nullptr ? MergeRules() : policy->merge_rules(change.ns);
  size_t told_apart = 0;
  const bool tells = change.kind != DocumentChange::Kind::kRemove;
  if (!rules.empty() && tells && !change.document.empty()) {
    constexpr size_t kAroundValue = 16;
    told_apart = merge::names_in_paths(bson::Document(change.document)) *
                 (kAroundValue + rules.rule_bytes_max());
  }
  size_t bytes = change.ns.size() + change.id.bytes.size() + (tells ? change.document.size() : 0);
  for (const PathChange& each : change.changes) {
    bytes += each.value.bytes.size() + bytes_told_apart(each);
    // What is taken away is told, too.
    const bool may_tell_base =
        each.base && !rules.empty() && rules.at(each.path).type == PathType::kSet;
    if (may_tell_base) bytes += each.base->bytes.size();
    for (const std::string& name : each.path) bytes += name.size();
  }
  return bytes + told_apart;
}

// The documents of one record and what becomes of their rows.
class RecordWriter {
 public:
  RecordWriter(const outbox::Outbox& outbox, Record& record, const merge::LocalContext& context,
               size_t documents)
      : outbox_(outbox), record_(record), context_(context) {
    index_.reserve(documents);
    rows_.reserve(documents);
  }

  Status add(DocumentChange&& change) {
    const std::string canonical_id = bson::canonical_key(change.id.view());
    std::string key = outbox::row_key(change.ns, canonical_id);
    const auto [found, is_new] = index_.try_emplace(std::move(key), rows_.size());
    if (is_new) {
      auto bytes = outbox_.row(change.ns, canonical_id);
      if (!bytes) return tl::unexpected(bytes.error());
      Row& row = rows_.emplace_back();
      row.key = &found->first;
      row.existed = bytes->has_value();
      row.before = row.existed ? std::move(**bytes) : std::string();
    }
    Row& row = rows_[found->second];
    if (row.is_birth) row.after = merge::birth_row(row.birth, false);
    row.is_birth = false;
    const std::string& now = row.after ? *row.after : row.before;
    const bool is_insert = change.kind == DocumentChange::Kind::kInsert;
    if (now.empty() && is_insert && !merges_inserts(change.ns)) {
      insert(std::move(change), row);
      return {};
    }
    return change_known(change, row, now);
  }

  // What follows is of another record, under this stamp.
  void go_on(const Dot& dot) { context_.dot = dot; }

  [[nodiscard]] const std::vector<LedgerEntry>& lost() const { return lost_; }

  // Puts the rows into the batch and tells of them beside it.
  void put_rows(SettlingBatch& settled) {
    Births births;
    for (Row& row : rows_) {
      if (!row.after && !row.is_birth) continue;
      const bool stays = row.is_birth || !row.after->empty();
      settled.rows += static_cast<int64_t>(row.is_birth || merge::counts(*row.after)) -
                      static_cast<int64_t>(merge::counts(row.before));
      if (row.detached) settled.detached.push_back(*row.key);
      if (row.to_correct) settled.corrections.push_back({*row.key, *std::move(row.to_correct)});
      if (row.is_birth) {
        births.add(row, settled.batch);
      } else if (stays) {
        settled.batch.put_row(*row.key, *row.after);
      } else if (row.existed) {
        settled.batch.remove_row(*row.key);
      }
    }
    births.finish(settled.batch);
    for (const Correction& each : settled.corrections) put_correction(settled.batch, each);
  }

 private:
  struct Row {
    const std::string* key = nullptr;
    bool existed = false;
    bool detached = false;                       // it is, or was before
    std::optional<bson::OwnedValue> to_correct;  // the _id: the store may show something else
    std::string before;
    std::optional<std::string> after;  // once changed; empty: none is needed
    bool is_birth = false;             // by `birth`, and nothing else, instead of `after`
    Dot birth;
  };

  // Documents born by one record are put together.
  class Births {
   public:
    void add(const Row& row, outbox::Batch& batch) {
      const std::string_view key = *row.key;
      const std::string_view ns = key.substr(0, key.find('\0'));
      const std::string_view id = key.substr(ns.size() + 1);
      if (writer_ && (row.birth != dot_ || ns != ns_)) finish(batch);
      if (!writer_) {
        dot_ = row.birth;
        ns_ = ns;
        writer_.emplace(merge::birth_row(dot_, false));
      }
      writer_->add(id);
    }
    void finish(outbox::Batch& batch) {
      if (writer_) batch.put_cohort(dot_, ns_, writer_->take());
      writer_.reset();
    }

   private:
    Dot dot_;
    std::string_view ns_;
    std::optional<outbox::CohortWriter> writer_;
  };

  bool merges_inserts(const std::string& ns) const {
    return context_.policy != nullptr && context_.policy->merge_rules(ns).inserts_merge();
  }

  // What nearly all inserts are: nothing is remembered of the document.
  void insert(DocumentChange&& change, Row& row) {
    if (bson::repeats_names(bson::Document(change.document))) {
      row.after = merge::birth_row(context_.dot, true);
    } else {
      row.is_birth = true;
      row.birth = context_.dot;
    }
    DocumentEffects& effects = record_.documents.emplace_back();
    effects.ns = std::move(change.ns);
    effects.id = std::move(change.id);
    Effect& birth = effects.effects.emplace_back();
    birth.kind = Operation::kBirth;
    birth.value = bson::make_document(std::move(change.document));
  }

  Status change_known(const DocumentChange& change, Row& row, const std::string& now) {
    auto state = merge::load_row(now);
    if (!state) return tl::unexpected(state.error());
    row.detached |= state->detached;  // a write may be the end of that, which is to be noted, too
    note_unseen(*state, change);
    DocumentEffects effects = merge::local_effects(*state, change, context_);
    if (effects.effects.empty()) return {};
    const std::vector<merge::Loss> before = merge::bounds_counted_on(*state, effects);
    merge::apply_local(*state, change, effects, context_);
    std::vector<merge::Loss> beyond = merge::bounds_counted_on(*state, effects);
    const bool is_beyond = !before.empty() || !beyond.empty();
    if (is_beyond && !state->detached) row.to_correct = change.id;
    merge::leave_out_bounds(beyond, before);
    for (const merge::Loss& loss : beyond) {
      lost_.push_back(ledger_entry(change.ns, change.id, loss));
    }
    record_.documents.push_back(std::move(effects));
    row.after = merge::strip(*state);
    return {};
  }

  // A document that the store had not taken, where the app makes one of the same _id: it has never
  // seen it, though the record says so.
  void note_unseen(const merge::DocumentState& state, const DocumentChange& change) {
    const bool is_new = change.kind == DocumentChange::Kind::kInsert ||
                        change.kind == DocumentChange::Kind::kUpsert;
    if (!is_new || !state.detached || state.incarnations.empty()) return;
    merge::DocumentState whole = state;
    merge::fill(whole, std::nullopt);
    const auto document = merge::document_of(whole);
    if (!document) return;
    merge::Loss loss;
    loss.kind = merge::LossKind::kInsertInsert;
    loss.shape = Shape::kDocument;
    loss.value = bson::make_document(*document);
    loss.loser = state.incarnations.back().births.back();
    loss.winner = context_.dot;
    LedgerEntry& entry = lost_.emplace_back(ledger_entry(change.ns, change.id, loss));
    entry.reason =
        "the store here had not taken this document, and the app made another one with its _id";
  }

  const outbox::Outbox& outbox_;
  Record& record_;
  merge::LocalContext context_;
  std::unordered_map<std::string, size_t> index_;  // row key -> rows_
  std::vector<Row> rows_;
  std::vector<LedgerEntry> lost_;
};

}  // namespace

Status LocalRecords::renew_bound() {
  const Hlc needed = state_.bound_needed();
  if (needed == 0) return {};
  outbox::Batch batch;
  batch.put_meta(meta_keys::kBound, outbox::sortable(needed));
  if (Status written = context_.outbox.write(std::move(batch)); !written) return written;
  state_.bound_written(needed);
  return {};
}

Result<LocalWrite> LocalRecords::begin(OpenWrite write) {
  write.since_us = context_.clock.monotonic_us();
  while (true) {
    auto begun = state_.begin(write);
    if (begun) return std::move(*begun);
    if (Status renewed = renew_bound(); !renewed) return tl::unexpected(renewed.error());
  }
}

Result<Dot> LocalRecords::next_dot() {
  auto begun = begin(OpenWrite());
  if (!begun) return tl::unexpected(begun.error());
  return Dot{begun->hlc, context_.self};
}

Result<SettlingBatch> LocalRecords::make(RecordName name, std::vector<DocumentChange> changes,
                                         const std::vector<RetryEntry>& retries) {
  SettlingBatch settled;
  Record record;
  record.origin = name.dot.origin;
  record.hlc = name.dot.hlc;
  record.deps = std::move(name.deps);
  record.app = std::move(name.app);
  record.documents.reserve(changes.size());
  RecordWriter writer(context_.outbox, record, {name.dot, name.closed, context_.options.policy},
                      changes.size());
  size_t bytes = 0;
  const auto finish_record = [&] {
    std::string entry = encode_record(record);
    settled.records.push_back({record.dot(), entry.size()});
    settled.batch.put_fresh_entry(record.origin, record.hlc, std::move(entry));
  };
  for (DocumentChange& change : changes) {
    const size_t more = memory_bytes(change, context_.options.policy);
    if (!record.documents.empty() && bytes + more > kRecordBytesMax) {
      finish_record();
      auto next = next_dot();
      if (!next) return tl::unexpected(next.error());
      record.documents.clear();
      record.deps.raise(record.origin, record.hlc);
      record.deps.raise(next->origin, next->hlc - 1);
      record.origin = next->origin;
      record.hlc = next->hlc;
      writer.go_on(*next);
      bytes = 0;
    }
    bytes += more;
    if (Status added = writer.add(std::move(change)); !added) {
      return tl::unexpected(added.error());
    }
  }
  put_retries(settled.batch, retries, context_.clock.wall_ms());
  if (!record.documents.empty()) {
    finish_record();
  } else if (settled.records.empty()) {
    return settled;
  } else {
    settled.records.push_back({record.dot(), 0});  // its stamp was taken for nothing
  }
  writer.put_rows(settled);
  WriterApps apps(context_.outbox);
  for (const SettledWrite& each : settled.records) apps.add(each.dot, record.app);
  for (const LedgerEntry& entry : writer.lost()) {
    auto named = apps.named(entry);
    if (!named) return tl::unexpected(named.error());
    const std::string key = ledger_key(*named);
    ledger_.put(settled.batch, key, std::move(*named), 1);
  }
  return settled;
}

}  // namespace outrigger
