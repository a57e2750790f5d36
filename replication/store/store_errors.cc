#include "replication/store/store_errors.h"

#include <algorithm>
#include <array>

namespace outrigger {
namespace {

using K = StoreErrorKind;

constexpr K kNo = K::kDidNotHappen;
constexpr K kMaybe = K::kMayHaveHappened;
constexpr K kPasses = K::kPasses;
constexpr bool kComputed = true;

// By code (checked below). Names as MongoDB 6.0 has them; those of no name are described.
constexpr auto kTable = std::to_array<StoreError>({
    {2, "BadValue", kNo, kComputed},
    {4, "NoSuchKey", kNo, kComputed},
    {6, "HostUnreachable", kMaybe},
    {7, "HostNotFound", kMaybe},
    {9, "FailedToParse", kNo, kComputed},
    {13, "Unauthorized", kNo},
    {14, "TypeMismatch", kNo, kComputed},
    {15, "Overflow", kNo, kComputed},
    {16, "InvalidLength", kNo, kComputed},
    {20, "IllegalOperation", kNo, kComputed},
    {22, "InvalidBSON", kNo, kComputed},
    {24, "LockTimeout", kMaybe},
    {26, "NamespaceNotFound", kNo},
    {27, "IndexNotFound", kNo},
    {28, "PathNotViable", kNo, kComputed},
    {29, "NonExistentPath", kNo, kComputed},
    {30, "InvalidPath", kNo, kComputed},
    {40, "ConflictingUpdateOperators", kNo},
    {43, "CursorNotFound", kMaybe},
    {46, "LockBusy", kPasses},
    {48, "NamespaceExists", kNo},
    {50, "MaxTimeMSExpired", kMaybe},
    {52, "DollarPrefixedFieldName", kNo},
    {53, "InvalidIdField", kNo},
    {54, "NotSingleValueField", kNo},
    {55, "InvalidDBRef", kNo},
    {56, "EmptyFieldName", kNo},
    {57, "DottedFieldName", kNo},
    {59, "CommandNotFound", kNo},
    {64, "WriteConcernFailed", kMaybe},
    {66, "ImmutableField", kNo},
    {72, "InvalidOptions", kNo},
    {73, "InvalidNamespace", kNo},
    {79, "UnknownReplWriteConcern", kMaybe},
    {89, "NetworkTimeout", kMaybe},
    {91, "ShutdownInProgress", kMaybe},
    {100, "UnsatisfiableWriteConcern", kMaybe},
    {112, "WriteConflict", kPasses},
    {115, "CommandNotSupported", kNo},
    {116, "DocTooLargeForCapped", kNo},
    {117, "ConflictingOperationInProgress", kPasses},
    {121, "DocumentValidationFailure", kNo},
    {133, "FailedToSatisfyReadPreference", kMaybe},
    {134, "ReadConcernMajorityNotAvailableYet", kPasses},
    {139, "JSInterpreterFailure", kNo, kComputed},
    {146, "ExceededMemoryLimit", kNo, kComputed},
    {165, "ViewDepthLimitExceeded", kNo},
    {166, "CommandNotSupportedOnView", kNo},
    {167, "OptionNotSupportedOnView", kNo},
    {168, "InvalidPipelineOperator", kNo, kComputed},
    {171, "CannotIndexParallelArrays", kNo},
    {175, "QueryPlanKilled", kMaybe},
    {189, "PrimarySteppedDown", kMaybe},
    {202, "NetworkInterfaceExceededTimeLimit", kMaybe},
    {211, "KeyNotFound", kPasses},
    {215, "DatabaseDropPending", kPasses},
    {224, "QueryFeatureNotAllowed", kNo},
    {225, "TransactionTooOld", kPasses},
    {237, "CursorKilled", kMaybe},
    {241, "ConversionFailure", kNo, kComputed},
    {251, "NoSuchTransaction", kPasses},
    {262, "ExceededTimeLimit", kMaybe},
    {263, "OperationNotSupportedInTransaction", kNo},
    {279, "ClientDisconnect", kMaybe},
    {290, "TransactionExceededLifetimeLimitSeconds", kMaybe},
    {291, "NoQueryExecutionPlans", kNo},
    {292, "QueryExceededMemoryLimitNoDiskUseAllowed", kNo, kComputed},
    {322, "APIVersionError", kNo},
    {323, "APIStrictError", kNo},
    {324, "APIDeprecationError", kNo},
    {347, "APIMismatchError", kNo},
    {355, "InterruptedDueToStorageChange", kMaybe},
    {361, "CollectionUUIDMismatch", kNo},
    {365, "TemporarilyUnavailable", kPasses},
    {371, "UserWritesBlocked", kPasses},
    {388, "TransactionTooLargeForCache", kPasses},
    {9001, "SocketException", kMaybe},
    {10003, "CannotGrowDocumentInCappedNamespace", kNo},
    {10058, "LegacyNotPrimary", kMaybe},
    {10107, "NotWritablePrimary", kMaybe},
    {10334, "BSONObjectTooLarge", kNo, kComputed},
    {11000, "DuplicateKey", kNo},
    {11600, "InterruptedAtShutdown", kMaybe},
    {11601, "Interrupted", kMaybe},
    {11602, "InterruptedDueToReplStateChange", kMaybe},
    {13297, "DatabaseDifferCase", kNo},
    {13388, "StaleConfig", kMaybe},
    {13435, "NotPrimaryNoSecondaryOk", kMaybe},
    {13436, "NotPrimaryOrSecondary", kMaybe},
    {14031, "OutOfDiskSpace", kPasses},
    {17280, "KeyTooLong", kNo},
    {17419, "the document after the update is too large", kNo},
    {17420, "the document to insert is too large", kNo},
    {40414, "a required field is missing", kNo},
    {40415, "a field is unknown", kNo},
});

constexpr bool by_code(const StoreError& a, const StoreError& b) { return a.code < b.code; }
static_assert(std::is_sorted(kTable.begin(), kTable.end(), by_code), "keep the table sorted");

const StoreError* find(int32_t code) {
  const auto found =
      std::lower_bound(kTable.begin(), kTable.end(), StoreError{code, "", kMaybe, false}, by_code);
  return found == kTable.end() || found->code != code ? nullptr : &*found;
}

}  // namespace

std::span<const StoreError> store_errors() { return kTable; }

StoreErrorKind store_error_kind(int32_t code) {
  const StoreError* known = find(code);
  return known ? known->kind : kMaybe;
}

StoreErrorKind store_error_kind_behind_projection(int32_t code) {
  const StoreError* known = find(code);
  return known && !known->of_expressions ? known->kind : kMaybe;
}

bool store_error_passes(int32_t code) {
  const StoreError* known = find(code);
  return known && known->kind != kNo;
}

bool store_error_is_about_rights(int32_t code) { return code == 13; }

bool store_error_is_about_the_document(int32_t code) {
  constexpr std::array kCodes{171, 10334, 17419, 17420};
  return std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
}

// Other refusals of the same code show the command, and what it names.
bool store_refuses_names(int32_t code, std::string_view message) {
  constexpr int32_t kInvalidOptions = 72;
  constexpr std::string_view kWords = "collectionUUID parameter is not enabled";
  return code == kInvalidOptions && message.find(kWords) != std::string_view::npos;
}

}  // namespace outrigger
