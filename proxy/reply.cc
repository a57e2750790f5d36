#include "proxy/reply.h"

#include <algorithm>
#include <iterator>

#include "proxy/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

bool is_time(std::string_view name) { return name == "$clusterTime" || name == "operationTime"; }

}  // namespace

void ReplyBuilder::add(const Run& run, const RunReply& reply) {
  if (!reply.ok) {
    failure_ = std::string(reply.body.bytes());
    return;
  }
  if (command_.kind == CommandKind::kFindAndModify) {
    single_ = std::string(reply.body.bytes());
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
  if (reply.concern_error) concern_error_ = std::string(reply.concern_error->bytes());
  tail_ = std::string(reply.body.bytes());
}

void ReplyBuilder::add_remembered(const Document& result, size_t statement) {
  if (const auto reply = result.find("reply"); reply && reply->type == Type::kDocument) {
    single_ = std::string(reply->bytes);
    return;
  }
  if (const auto n = result.find("n")) n_ += n->to_int64().value_or(0);
  if (const auto modified = result.find("nModified")) modified_ += modified->to_int64().value_or(0);
  if (const auto upserted = result.find("upserted"); upserted && upserted->type == Type::kArray) {
    for (const Element& id : upserted->as_document()) {
      upserted_.push_back({statement, bson::OwnedValue(id.value)});
    }
  }
  retried_.push_back(command_.statements[statement].stmt_id);
}

void ReplyBuilder::add_error(size_t statement, int code, std::string_view message) {
  bson::Writer rest;
  rest.int32("code", code).string("errmsg", message);
  errors_.push_back({statement, rest.finish()});
}

void ReplyBuilder::absorb(ReplyBuilder&& other) {
  n_ += other.n_;
  modified_ += other.modified_;
  std::move(other.errors_.begin(), other.errors_.end(), std::back_inserter(errors_));
  std::move(other.upserted_.begin(), other.upserted_.end(), std::back_inserter(upserted_));
  retried_.insert(retried_.end(), other.retried_.begin(), other.retried_.end());
  if (other.concern_error_) concern_error_ = std::move(other.concern_error_);
  if (!other.tail_.empty()) tail_ = std::move(other.tail_);
  if (other.failure_) failure_ = std::move(other.failure_);
  if (other.single_) single_ = std::move(other.single_);
}

bool ReplyBuilder::only_duplicate_key() const {
  std::string_view body;
  if (errors_.size() == 1 && n_ == 0) body = errors_.front().bytes;
  if (failure_) body = *failure_;
  if (body.empty()) return false;
  const auto code = Document(body).find("code");
  return code && code->to_int64() == wire::code::kDuplicateKey;
}

std::string ReplyBuilder::finish() {
  if (failure_) return std::move(*failure_);
  if (single_) return std::move(*single_);
  const Document tail(tail_);
  bson::Writer out;
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
  if (!upserted_.empty()) {
    out.open_array("upserted");
    for (size_t i = 0; i < upserted_.size(); ++i) {
      out.open_document(bson::index_name(i));
      out.int32("index", static_cast<int32_t>(upserted_[i].index));
      out.value("_id", upserted_[i].id).close();
    }
    out.close();
  }
  if (command_.kind == CommandKind::kUpdate) {
    out.int32("nModified", static_cast<int32_t>(modified_));
  }
  if (!retried_.empty() && !tail_.empty()) {
    out.open_array("retriedStmtIds");
    for (size_t i = 0; i < retried_.size(); ++i) out.int32(bson::index_name(i), retried_[i]);
    out.close();
  }
  if (concern_error_) out.document("writeConcernError", Document(*concern_error_));
  out.real("ok", 1.0);
  for (const Element& field : tail) {
    if (is_time(field.name)) out.element(field);
  }
  return out.finish();
}

std::string remember(const Run& run, const RunReply& reply) {
  bson::Writer out;
  if (run.command->kind == CommandKind::kFindAndModify) {
    out.open_document("reply");
    for (const Element& field : reply.body) {
      if (!is_time(field.name)) out.element(field);
    }
    out.close();
    return out.finish();
  }
  out.int64("n", reply.n);
  if (run.command->kind == CommandKind::kUpdate) out.int64("nModified", reply.modified);
  if (!reply.upserted.empty()) {
    out.open_array("upserted");
    for (size_t i = 0; i < reply.upserted.size(); ++i) {
      out.value(bson::index_name(i), reply.upserted[i].id);
    }
    out.close();
  }
  return out.finish();
}

}  // namespace outrigger
