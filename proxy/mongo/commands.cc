#include "proxy/mongo/commands.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace outrigger {
namespace {

struct Row {
  std::string_view name;
  CommandKind kind;
  std::string_view why = {};
};

using K = CommandKind;

constexpr std::string_view kCapped =
    "it makes another collection of one that is there: create a capped one, and copy into it";
constexpr std::string_view kRawOplog = "it writes behind the capture";
constexpr std::string_view kBulk =
    "send insert, update and delete instead (maxWireVersion 21 and "
    "lower drivers do)";

// Sorted by name (checked by a test). What a command does in a transaction, and how one ends:
// session/transaction_command.h.
constexpr auto kTable = std::to_array<Row>({
    {"_isSelf", K::kRead},
    {"abortTransaction", K::kRead},
    {"aggregate", K::kAggregate},
    {"appendOplogNote", K::kLocal},
    {"applyOps", K::kRefused, kRawOplog},
    {"authenticate", K::kLogin},
    {"buildInfo", K::kRead},
    {"buildinfo", K::kRead},
    {"bulkWrite", K::kRefused, kBulk},
    {"cloneCollectionAsCapped", K::kRefused, kCapped},
    {"collMod", K::kDdl},
    {"collStats", K::kRead},
    {"collstats", K::kRead},
    {"commitTransaction", K::kRead},
    {"compact", K::kLocal},
    {"connPoolStats", K::kRead},
    {"connPoolSync", K::kLocal},
    {"connectionStatus", K::kRead},
    {"convertToCapped", K::kRefused, kCapped},
    {"count", K::kRead},
    {"create", K::kDdl},
    {"createIndexes", K::kDdl},
    {"createRole", K::kLocal},
    {"createUser", K::kLocal},
    {"currentOp", K::kRead},
    {"dataSize", K::kRead},
    {"dbCheck", K::kLocal},
    {"dbHash", K::kRead},
    {"dbStats", K::kRead},
    {"dbhash", K::kRead},
    {"dbstats", K::kRead},
    {"delete", K::kDelete},
    {"deleteIndexes", K::kDdl},
    {"distinct", K::kRead},
    {"driverOIDTest", K::kRead},
    {"drop", K::kDdl},
    {"dropAllRolesFromDatabase", K::kLocal},
    {"dropAllUsersFromDatabase", K::kLocal},
    {"dropConnections", K::kLocal},
    {"dropDatabase", K::kDdl},
    {"dropIndexes", K::kDdl},
    {"dropRole", K::kLocal},
    {"dropUser", K::kLocal},
    {"endSessions", K::kRead},
    {"explain", K::kRead},
    {"features", K::kRead},
    {"filemd5", K::kRead},
    {"find", K::kRead},
    {"findAndModify", K::kFindAndModify},
    {"findandmodify", K::kFindAndModify},
    {"fsync", K::kLocal},
    {"fsyncUnlock", K::kLocal},
    {"getClusterParameter", K::kRead},
    {"getCmdLineOpts", K::kRead},
    {"getDefaultRWConcern", K::kRead},
    {"getDiagnosticData", K::kRead},
    {"getFreeMonitoringStatus", K::kRead},
    {"getLastError", K::kRead},
    {"getLog", K::kRead},
    {"getMore", K::kRead},
    {"getParameter", K::kRead},
    {"getShardMap", K::kRead},
    {"getShardVersion", K::kRead},
    {"getlasterror", K::kRead},
    {"getnonce", K::kRead},
    {"grantPrivilegesToRole", K::kLocal},
    {"grantRolesToRole", K::kLocal},
    {"grantRolesToUser", K::kLocal},
    {"hello", K::kHello},
    {"hostInfo", K::kRead},
    {"insert", K::kInsert},
    {"invalidateUserCache", K::kLocal},
    {"isMaster", K::kHello},
    {"ismaster", K::kHello},
    {"killAllSessions", K::kLocal},
    {"killAllSessionsByPattern", K::kLocal},
    {"killCursors", K::kRead},
    {"killOp", K::kLocal},
    {"killSessions", K::kLocal},
    {"listCollections", K::kRead},
    {"listCommands", K::kRead},
    {"listDatabases", K::kRead},
    {"listIndexes", K::kRead},
    {"lockInfo", K::kRead},
    {"logRotate", K::kLocal},
    {"logout", K::kRead},
    {"mapReduce", K::kMapReduce},
    {"mapreduce", K::kMapReduce},
    {"ping", K::kRead},
    {"planCacheClear", K::kLocal},
    {"planCacheClearFilters", K::kLocal},
    {"planCacheListFilters", K::kRead},
    {"planCacheSetFilter", K::kLocal},
    {"profile", K::kLocal},
    {"reIndex", K::kLocal},
    {"refreshSessions", K::kRead},
    {"renameCollection", K::kDdl},
    {"replSetAbortPrimaryCatchUp", K::kLocal},
    {"replSetFreeze", K::kLocal},
    {"replSetGetConfig", K::kRead},
    {"replSetGetRBID", K::kRead},
    {"replSetGetStatus", K::kRead},
    {"replSetInitiate", K::kLocal},
    {"replSetMaintenance", K::kLocal},
    {"replSetReconfig", K::kLocal},
    {"replSetResizeOplog", K::kLocal},
    {"replSetStepDown", K::kLocal},
    {"replSetStepUp", K::kLocal},
    {"replSetSyncFrom", K::kLocal},
    {"revokePrivilegesFromRole", K::kLocal},
    {"revokeRolesFromRole", K::kLocal},
    {"revokeRolesFromUser", K::kLocal},
    {"rolesInfo", K::kRead},
    {"rotateCertificates", K::kLocal},
    {"saslContinue", K::kLogin},
    {"saslStart", K::kLogin},
    {"serverStatus", K::kRead},
    {"setClusterParameter", K::kLocal},
    {"setDefaultRWConcern", K::kLocal},
    {"setFeatureCompatibilityVersion", K::kLocal},
    {"setFreeMonitoring", K::kLocal},
    {"setIndexCommitQuorum", K::kLocal},
    {"setParameter", K::kLocal},
    {"setProfilingFilterGlobally", K::kLocal},
    {"setUserWriteBlockMode", K::kLocal},
    {"shutdown", K::kLocal},
    {"startSession", K::kRead},
    {"top", K::kRead},
    {"update", K::kUpdate},
    {"updateRole", K::kLocal},
    {"updateUser", K::kLocal},
    {"usersInfo", K::kRead},
    {"validate", K::kLocal},
    {"validateDBMetadata", K::kRead},
    {"voteCommitIndexBuild", K::kLocal},
    {"waitForFailPoint", K::kRead},
    {"whatsmyuri", K::kRead},
});

constexpr bool by_name(const Row& a, const Row& b) { return a.name < b.name; }
static_assert(std::is_sorted(kTable.begin(), kTable.end(), by_name), "keep the table sorted");

}  // namespace

CommandInfo command_info(std::string_view name) {
  const Row key{name, K::kUnknown};
  const auto found = std::lower_bound(kTable.begin(), kTable.end(), key, by_name);
  if (found == kTable.end() || found->name != name) return {};
  return {found->kind, found->why};
}

}  // namespace outrigger
