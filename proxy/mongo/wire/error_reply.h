// Replies that the proxy makes itself: {ok: 0.0, errmsg, code, codeName, errorLabels?}, and the
// plain {ok: 1.0}. They hold no $clusterTime (it is signed) and no operationTime.
#pragma once

#include <initializer_list>

#include "proxy/mongo/wire/header.h"

namespace outrigger::wire {

// mongod's error codes that we make or look at.
namespace code {
inline constexpr int kBadValue = 2;
inline constexpr int kGraphContainsCycle = 5;
inline constexpr int kHostUnreachable = 6;
inline constexpr int kFailedToParse = 9;
inline constexpr int kUnauthorized = 13;
inline constexpr int kTypeMismatch = 14;
inline constexpr int kOverflow = 15;
inline constexpr int kInvalidLength = 16;
inline constexpr int kProtocolError = 17;
inline constexpr int kAuthenticationFailed = 18;
inline constexpr int kIllegalOperation = 20;
inline constexpr int kInvalidBson = 22;
inline constexpr int kNamespaceNotFound = 26;
inline constexpr int kIndexNotFound = 27;
inline constexpr int kPathNotViable = 28;
inline constexpr int kCursorNotFound = 43;
inline constexpr int kNamespaceExists = 48;
inline constexpr int kMaxTimeMsExpired = 50;
inline constexpr int kDollarPrefixedFieldName = 52;
inline constexpr int kInvalidIdField = 53;
inline constexpr int kCommandNotFound = 59;
inline constexpr int kWriteConcernFailed = 64;
inline constexpr int kImmutableField = 66;
inline constexpr int kInvalidOptions = 72;
inline constexpr int kInvalidNamespace = 73;
inline constexpr int kIndexOptionsConflict = 85;
inline constexpr int kIndexKeySpecsConflict = 86;
inline constexpr int kNetworkTimeout = 89;
inline constexpr int kShutdownInProgress = 91;
inline constexpr int kWriteConflict = 112;
inline constexpr int kCommandNotSupported = 115;
inline constexpr int kConflictingOperationInProgress = 117;
inline constexpr int kDocumentValidationFailure = 121;
inline constexpr int kExceededMemoryLimit = 146;
inline constexpr int kCommandNotSupportedOnView = 166;
inline constexpr int kPrimarySteppedDown = 189;
inline constexpr int kIllegalOpMsgFlag = 223;
inline constexpr int kTooManyDocumentSequences = 233;
inline constexpr int kTransactionTooOld = 225;
inline constexpr int kNoSuchTransaction = 251;
inline constexpr int kTransactionCommitted = 256;
inline constexpr int kTransactionTooLarge = 257;
inline constexpr int kOperationNotSupportedInTransaction = 263;
inline constexpr int kChecksumMismatch = 288;
inline constexpr int kUnsupportedOpQueryCommand = 352;
inline constexpr int kCollectionUuidMismatch = 361;
inline constexpr int kIngressRequestRateLimitExceeded = 462;
inline constexpr int kNotWritablePrimary = 10107;
inline constexpr int kBsonObjectTooLarge = 10334;
inline constexpr int kUnknownField = 40415;
inline constexpr int kLegacyOpQuery = 5739101;  // an OP_QUERY that is no command
inline constexpr int kDuplicateKey = 11000;
inline constexpr int kInterruptedAtShutdown = 11600;
inline constexpr int kInterrupted = 11601;
inline constexpr int kInterruptedDueToReplStateChange = 11602;
inline constexpr int kMergeStageNoMatchingDocument = 13113;
inline constexpr int kNotPrimaryNoSecondaryOk = 13435;
inline constexpr int kNotPrimaryOrSecondary = 13436;
}  // namespace code

// A reply that says it went well.
[[nodiscard]] bool is_ok(const bson::Document& reply);
// What `error`, a reply or a write error of mongod's, says; 0: nothing.
[[nodiscard]] int code_of(const bson::Document& error);

// "WriteConflict"; "Location40430" for codes without a name.
[[nodiscard]] std::string code_name(int error_code);

// The body of an error reply, as BSON bytes.
[[nodiscard]] std::string error_body(int error_code, std::string_view errmsg,
                                     std::initializer_list<std::string_view> labels = {});
[[nodiscard]] inline std::string error_body(const WireError& error) {
  return error_body(error.code, error.message);
}

// "Try later", as drivers with client backpressure understand it: 462 with the labels
// SystemOverloadedError and RetryableError.
[[nodiscard]] std::string overloaded_body(std::string_view errmsg);

// {ok: 1.0}
[[nodiscard]] std::string ok_body();

}  // namespace outrigger::wire
