#include "proxy/mongo/wire/error_reply.h"

#include <algorithm>
#include <iterator>

namespace outrigger::wire {
namespace {

struct Named {
  int code;
  const char* name;
};

constexpr Named kNames[] = {
    {code::kBadValue, "BadValue"},
    {code::kGraphContainsCycle, "GraphContainsCycle"},
    {code::kHostUnreachable, "HostUnreachable"},
    {code::kFailedToParse, "FailedToParse"},
    {code::kUnauthorized, "Unauthorized"},
    {code::kTypeMismatch, "TypeMismatch"},
    {code::kOverflow, "Overflow"},
    {code::kInvalidLength, "InvalidLength"},
    {code::kProtocolError, "ProtocolError"},
    {code::kAuthenticationFailed, "AuthenticationFailed"},
    {code::kIllegalOperation, "IllegalOperation"},
    {code::kInvalidBson, "InvalidBSON"},
    {code::kNamespaceNotFound, "NamespaceNotFound"},
    {code::kIndexNotFound, "IndexNotFound"},
    {code::kPathNotViable, "PathNotViable"},
    {code::kCursorNotFound, "CursorNotFound"},
    {code::kNamespaceExists, "NamespaceExists"},
    {code::kMaxTimeMsExpired, "MaxTimeMSExpired"},
    {code::kDollarPrefixedFieldName, "DollarPrefixedFieldName"},
    {code::kInvalidIdField, "InvalidIdField"},
    {code::kCommandNotFound, "CommandNotFound"},
    {code::kWriteConcernFailed, "WriteConcernFailed"},
    {code::kImmutableField, "ImmutableField"},
    {code::kInvalidOptions, "InvalidOptions"},
    {code::kInvalidNamespace, "InvalidNamespace"},
    {code::kIndexOptionsConflict, "IndexOptionsConflict"},
    {code::kIndexKeySpecsConflict, "IndexKeySpecsConflict"},
    {code::kNetworkTimeout, "NetworkTimeout"},
    {code::kShutdownInProgress, "ShutdownInProgress"},
    {code::kWriteConflict, "WriteConflict"},
    {code::kCommandNotSupported, "CommandNotSupported"},
    {code::kConflictingOperationInProgress, "ConflictingOperationInProgress"},
    {code::kDocumentValidationFailure, "DocumentValidationFailure"},
    {code::kCommandNotSupportedOnView, "CommandNotSupportedOnView"},
    {code::kPrimarySteppedDown, "PrimarySteppedDown"},
    {code::kIllegalOpMsgFlag, "IllegalOpMsgFlag"},
    {code::kTransactionTooOld, "TransactionTooOld"},
    {code::kTooManyDocumentSequences, "TooManyDocumentSequences"},
    {code::kNoSuchTransaction, "NoSuchTransaction"},
    {code::kTransactionCommitted, "TransactionCommitted"},
    {code::kTransactionTooLarge, "TransactionTooLarge"},
    {code::kOperationNotSupportedInTransaction, "OperationNotSupportedInTransaction"},
    {code::kChecksumMismatch, "ChecksumMismatch"},
    {code::kUnsupportedOpQueryCommand, "UnsupportedOpQueryCommand"},
    {code::kIngressRequestRateLimitExceeded, "IngressRequestRateLimitExceeded"},
    {code::kNotWritablePrimary, "NotWritablePrimary"},
    {code::kBsonObjectTooLarge, "BSONObjectTooLarge"},
    {code::kDuplicateKey, "DuplicateKey"},
    {code::kMergeStageNoMatchingDocument, "MergeStageNoMatchingDocument"},
    {code::kInterruptedAtShutdown, "InterruptedAtShutdown"},
    {code::kInterrupted, "Interrupted"},
    {code::kInterruptedDueToReplStateChange, "InterruptedDueToReplStateChange"},
    {code::kNotPrimaryNoSecondaryOk, "NotPrimaryNoSecondaryOk"},
    {code::kNotPrimaryOrSecondary, "NotPrimaryOrSecondary"},
};

}  // namespace

bool is_ok(const bson::Document& reply) {
  const auto ok = reply.find("ok");
  return ok && ok->truthy();
}

int code_of(const bson::Document& error) {
  const auto code = error.find("code");
  return code ? static_cast<int>(code->to_int64().value_or(0)) : 0;
}

std::string code_name(int error_code) {
  const auto* found = std::find_if(std::begin(kNames), std::end(kNames),
                                   [&](const Named& named) { return named.code == error_code; });
  if (found != std::end(kNames)) return found->name;
  return "Location" + std::to_string(error_code);
}

std::string error_body(int error_code, std::string_view errmsg,
                       std::initializer_list<std::string_view> labels) {
  bson::Writer writer;
  writer.real("ok", 0).string("errmsg", errmsg).int32("code", error_code);
  writer.string("codeName", code_name(error_code));
  if (labels.size() > 0) {
    writer.open_array("errorLabels");
    size_t index = 0;
    for (const std::string_view label : labels) writer.string(bson::index_name(index++), label);
    writer.close();
  }
  return writer.finish();
}

std::string overloaded_body(std::string_view errmsg) {
  return error_body(code::kIngressRequestRateLimitExceeded, errmsg,
                    {"SystemOverloadedError", "RetryableError"});
}

std::string ok_body() { return bson::Writer().real("ok", 1).finish(); }

}  // namespace outrigger::wire
