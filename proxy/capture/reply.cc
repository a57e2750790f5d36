#include "proxy/capture/reply.h"

#include <algorithm>
#include <iterator>

#include "proxy/capture/doubt.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

bool is_time(std::string_view name) { return name == "$clusterTime" || name == "operationTime"; }

// The concern a writeConcernError cites is the one we sent: with `w` and `j` as the app said them.
std::string citing_the_apps_concern(const Document& command, const Document& error) {
  const auto asked = command.find("writeConcern");
  std::optional<Value> w;
  std::optional<Value> j;
  if (asked && asked->type == Type::kDocument) {
    w = asked->as_document().find("w");
    j = asked->as_document().find("j");
  }
  bson::Writer out;
  for (const Element& field : error) {
    const auto cited = field.name == "errInfo" && field.value.type == Type::kDocument
                           ? field.value.as_document().find("writeConcern")
                           : std::nullopt;
    if (!cited || cited->type != Type::kDocument) {
      out.element(field);
      continue;
    }
    out.open_document("errInfo");
    for (const Element& info : field.value.as_document()) {
      if (info.name != "writeConcern") {
        out.element(info);
        continue;
      }
      out.open_document("writeConcern");
      for (const Element& part : cited->as_document()) {
        if (part.name == "w" && w) {
          out.value("w", *w);
        } else if (part.name != "j") {
          out.element(part);
        } else if (j) {
          out.value("j", *j);
        }
      }
      out.close();
    }
    out.close();
  }
  return out.finish();
}

std::string with_concern_error(const Document& body, const std::string& error) {
  bson::Writer out;
  for (const Element& field : body) {
    if (field.name == "writeConcernError") {
      out.document(field.name, Document(error));
    } else {
      out.element(field);
    }
  }
  return out.finish();
}

std::string without_labels(const Document& body) {
  bson::Writer out;
  for (const bson::Element& each : body) {
    if (each.name != "errorLabels") out.element(each);
  }
  return out.finish();
}

bool is_retry_label(const bson::Value& label) {
  return label.type == Type::kString && label.as_string() == "RetryableWriteError";
}

// mongod says of our own number that the command may be sent again: the app gave it none.
std::string without_retry_label(const Document& body) {
  const auto labels = body.find("errorLabels");
  if (!labels || labels->type != Type::kArray) return std::string(body.bytes());
  std::vector<bson::Value> others;
  for (const Element& label : labels->as_document()) {
    if (!is_retry_label(label.value)) others.push_back(label.value);
  }
  bson::Writer out;
  for (const Element& field : body) {
    if (field.name != "errorLabels") {
      out.element(field);
    } else if (!others.empty()) {
      out.open_array(field.name);
      for (size_t i = 0; i < others.size(); ++i) out.value(bson::index_name(i), others[i]);
      out.close();
    }
  }
  return out.finish();
}

}  // namespace

std::string with_times(const std::string& body, const Document& from) {
  bson::Writer out;
  out.append_all(Document(body));
  for (const Element& field : from) {
    if (is_time(field.name)) out.element(field);
  }
  return out.finish();
}

std::string with_apps_concern(const Document& reply, const Document& command) {
  const auto error = reply.find("writeConcernError");
  if (!error || error->type != Type::kDocument) return std::string(reply.bytes());
  return with_concern_error(reply, citing_the_apps_concern(command, error->as_document()));
}

void ReplyBuilder::take_concern(const RunReply& reply) {
  if (!reply.concern_error) return;
  concern_error_ = citing_the_apps_concern(command_->body, *reply.concern_error);
  // By its number the app's own session makes it one; mongod may say it of ours.
  const auto labels = reply.body.find("errorLabels");
  if (labels && command_->session.is_retryable()) concern_labels_.emplace(*labels);
}

void ReplyBuilder::add(const Run& run, const RunReply& reply) {
  take_concern(reply);
  doubted_ = doubted_ || !outrigger::is_refused_surely(run, reply);
  const bool is_numbered = command_->session.txn_number.has_value();
  if (!reply.ok) {
    failure_ = is_numbered ? std::string(reply.body.bytes()) : without_retry_label(reply.body);
    return;
  }
  if (command_->kind == CommandKind::kFindAndModify) {
    single_ = std::string(reply.body.bytes());
    if (concern_error_) single_ = with_concern_error(reply.body, *concern_error_);
    if (concern_error_ && !is_numbered) single_ = without_retry_label(Document(*single_));
    return;
  }
  n_ += reply.n;
  modified_ += reply.modified;
  for (const RunReply::WriteError& error : reply.errors) {
    if (error.item >= run.items.size()) continue;
    bson::Writer rest;
    for (const Element& field : error.error) {
      if (field.name != "index") rest.element(field);
    }
    errors_.push_back({run.items[error.item].statement->index, rest.finish()});
  }
  for (const RunReply::Upserted& entry : reply.upserted) {
    if (entry.item >= run.items.size()) continue;
    upserted_.push_back({run.items[entry.item].statement->index, bson::OwnedValue(entry.id)});
  }
  if (!run.command->statements.front().multi) {
    retried_.insert(retried_.end(), reply.retried.begin(), reply.retried.end());
  }
  tail_ = std::string(reply.body.bytes());
}

void ReplyBuilder::add(const Run& run, const RunReply& reply, std::string message) {
  add(run, reply);
  const bool is_of_all = run.items.size() == command_->statements.size();
  // What a probe of a statement for many documents counts is none, as the app's would.
  const bool counts_alike =
      run.probe || std::none_of(run.items.begin(), run.items.end(),
                                [](const RunItem& item) { return item.statement->multi; });
  if (reply.ok && is_of_all && counts_alike && !command_->unacknowledged && !reply.concern_error) {
    whole_ = std::move(message);
  }
}

bool ReplyBuilder::add_remembered(const Document& result, size_t statement) {
  const auto reply = result.find("reply");
  const bool has_reply = reply && reply->type == Type::kDocument;
  if (!reply && command_->kind == CommandKind::kFindAndModify) return false;
  if (has_reply && command_->kind != CommandKind::kFindAndModify) {
    // The number was a findAndModify's: as mongod does, only what it counted is told.
    const RunReply said = read_run_reply(CommandKind::kFindAndModify, reply->as_document());
    n_ += said.n;
    modified_ += said.modified;
  } else if (has_reply) {
    bson::Writer out;
    for (const Element& field : reply->as_document()) {
      if (field.name == "ok") {
        out.int32("retriedStmtId", command_->statements[statement].stmt_id);
        if (concern_error_) out.document("writeConcernError", Document(*concern_error_));
      }
      if (field.name != "retriedStmtId") out.element(field);
    }
    single_ = with_times(out.finish(), Document(tail_));
    return true;
  }
  if (const auto n = result.find("n")) n_ += n->to_int64().value_or(0);
  if (const auto modified = result.find("nModified")) modified_ += modified->to_int64().value_or(0);
  add_inserted(result, statement);
  if (!retried_known_) retried_.push_back(command_->statements[statement].stmt_id);
  return true;
}

// Beside what upserts inserted stands of which statement behind this one each of it is.
void ReplyBuilder::add_inserted(const Document& result, size_t statement) {
  const auto upserted = result.find("upserted");
  if (!upserted || upserted->type != Type::kArray) return;
  const auto places = result.find("at");
  const bool has_places = places && places->type == Type::kArray;
  const Document at = has_places ? places->as_document() : Document();
  auto place = at.begin();
  for (const Element& id : upserted->as_document()) {
    size_t index = statement;
    if (has_places && place != at.end()) {
      index += static_cast<size_t>((*place).value.to_int64().value_or(0));
      ++place;
    }
    if (index < command_->statements.size())
      upserted_.push_back({index, bson::OwnedValue(id.value)});
  }
}

void ReplyBuilder::add_error(size_t statement, int code, std::string_view message) {
  is_stores_ = false;
  if (command_->kind == CommandKind::kFindAndModify) {
    failure_ = with_times(wire::error_body(code, message), Document(tail_));
    return;
  }
  bson::Writer rest;
  rest.int32("code", code).string("errmsg", message);
  errors_.push_back({statement, rest.finish()});
}

void ReplyBuilder::add_tail(const RunReply& reply) {
  take_concern(reply);
  tail_ = std::string(reply.body.bytes());
}

void ReplyBuilder::retried_were(const std::vector<int32_t>& stmt_ids) {
  retried_ = stmt_ids;
  retried_known_ = true;
}

void ReplyBuilder::absorb(ReplyBuilder&& other) {
  n_ += other.n_;
  modified_ += other.modified_;
  std::move(other.errors_.begin(), other.errors_.end(), std::back_inserter(errors_));
  std::move(other.upserted_.begin(), other.upserted_.end(), std::back_inserter(upserted_));
  retried_.insert(retried_.end(), other.retried_.begin(), other.retried_.end());
  doubted_ = doubted_ || other.doubted_;
  is_stores_ = is_stores_ && other.is_stores_;
  if (other.concern_error_) {
    concern_error_ = std::move(other.concern_error_);
    concern_labels_ = std::move(other.concern_labels_);
  }
  if (!other.tail_.empty()) tail_ = std::move(other.tail_);
  if (other.failure_) failure_ = std::move(other.failure_);
  if (other.single_) single_ = std::move(other.single_);
  if (other.whole_) whole_ = std::move(other.whole_);
}

bool ReplyBuilder::is_refused_surely() const { return (failed() || has_errors()) && !doubted_; }

Answer ReplyBuilder::answer() {
  if (whole_ && !failure_) return Answer::message(std::move(*whole_));
  return is_stores_ ? Answer::stores_body(finish()) : Answer::body(finish());
}

std::string ReplyBuilder::finish() {
  if (failure_) {
    // Who sends all of it again does what is done once more, unless it is known by its number.
    const bool is_half_done = n_ > 0 && !command_->session.is_retryable();
    return is_half_done ? without_labels(Document(*failure_)) : std::move(*failure_);
  }
  if (single_) return std::move(*single_);
  const Document tail(tail_);
  bson::Writer out;
  if (command_->unacknowledged && !tail_.empty()) {
    // Who asks for no acknowledgement and gets an answer all the same reads nothing in it.
    out.int32("n", 0);
    if (command_->kind == CommandKind::kUpdate) out.int32("nModified", 0);
    return with_times(out.real("ok", 1.0).finish(), tail);
  }
  out.int32("n", static_cast<int32_t>(n_));
  for (const char* name : {"electionId", "opTime"}) {
    if (const auto value = tail.find(name)) out.value(name, *value);
  }
  if (!errors_.empty()) {
    std::stable_sort(errors_.begin(), errors_.end(),
                     [](const Error& a, const Error& b) { return a.index < b.index; });
    out.open_array("writeErrors");
    for (size_t i = 0; i < errors_.size(); ++i) {
      out.open_document(bson::index_name(i));
      out.int32("index", static_cast<int32_t>(errors_[i].index));
      out.append_all(Document(errors_[i].bytes)).close();
    }
    out.close();
  }
  if (!retried_.empty() && !tail_.empty()) {
    out.open_array("retriedStmtIds");
    for (size_t i = 0; i < retried_.size(); ++i) out.int32(bson::index_name(i), retried_[i]);
    out.close();
  }
  if (!upserted_.empty()) {
    out.open_array("upserted");
    for (size_t i = 0; i < upserted_.size(); ++i) {
      out.open_document(bson::index_name(i));
      out.int32("index", static_cast<int32_t>(upserted_[i].index));
      out.value("_id", upserted_[i].id).close();
    }
    out.close();
  }
  if (command_->kind == CommandKind::kUpdate) {
    out.int32("nModified", static_cast<int32_t>(modified_));
  }
  if (concern_error_) out.document("writeConcernError", Document(*concern_error_));
  out.real("ok", 1.0);
  if (concern_error_ && concern_labels_) out.value("errorLabels", *concern_labels_);
  return with_times(out.finish(), tail);
}

std::string remember(const Run& run, const RunReply& reply, size_t first) {
  bson::Writer out;
  if (run.command->kind == CommandKind::kFindAndModify) {
    out.open_document("reply");
    for (const Element& field : reply.body) {
      // Who asks again is told of the concern as it stands then.
      const bool is_of_concern = field.name == "writeConcernError" || field.name == "errorLabels";
      if (!is_of_concern && !is_time(field.name)) out.element(field);
    }
    out.close();
    return out.finish();
  }
  out.int64("n", reply.n);
  if (run.command->kind == CommandKind::kUpdate) out.int64("nModified", reply.modified);
  std::vector<const RunReply::Upserted*> inserted;
  for (const RunReply::Upserted& each : reply.upserted) {
    const bool is_its = each.item < run.items.size() && !run.items[each.item].recorded;
    if (is_its && run.items[each.item].statement->index >= first) inserted.push_back(&each);
  }
  if (inserted.empty()) return out.finish();
  out.open_array("upserted");
  for (size_t i = 0; i < inserted.size(); ++i) out.value(bson::index_name(i), inserted[i]->id);
  out.close().open_array("at");
  for (size_t i = 0; i < inserted.size(); ++i) {
    const size_t place = run.items[inserted[i]->item].statement->index - first;
    out.int32(bson::index_name(i), static_cast<int32_t>(place));
  }
  return out.close().finish();
}

std::vector<RetryEntry> retry_entries(const Run& run, const RunReply& reply) {
  std::vector<RetryEntry> out;
  // It may be resolved again to another document, and a crash would take that for recorded.
  if (!reply.ok || reply.n == 0) return out;
  const AppSession& session = run.command->session;
  for (size_t i = 0; i < run.items.size(); ++i) {
    const bool refused = std::any_of(
        reply.errors.begin(), reply.errors.end(), [&](const RunReply::WriteError& error) {
          return error.item == i || (run.command->ordered && i > error.item);
        });
    if (refused || run.items[i].recorded) continue;
    RetryEntry entry;
    entry.key = retry_key(run.command->ns, session.lsid_id, session.user, *session.txn_number,
                          run.items[i].statement->stmt_id);
    entry.value = out.empty() ? remember(run, reply, run.items[i].statement->index)
                              : std::string("\x05\0\0\0\0", 5);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace outrigger
