// Every bound on what others can make this process hold, in one place, and what they add up to.
//
// The problem: each part bounds what comes in, but what counts is what it becomes (a message
// becomes runs, images, effects, a record, a batch), and what all of it is together. The idea: a
// bound stands here, with its reason, beside those it has to agree with; a part includes this file
// instead of naming a number of its own.
//
// What one connection of an app holds while it waits: its objects, and at most kUnreadBytesMax that
// came while nobody read, and kUnreadBytesMax of a message that has not been let in. What all of
// them hold of messages: the three rooms below, and twice that again while they are served (the
// message, the command it becomes). Before a login: kStrangerRoomBytes, whatever their number. All
// replies that are held whole, since they are compressed or came compressed: kRepliesRoomBytes.
// A write that is under way holds beside its message: of one run kRunBytesMax and one statement,
// and kRunImagesBytesMax and one document, the latter twice while they become a record; of one
// statement for many documents kFoundBytesMax. All transactions together hold
// kTransactionsBytesMax of what they have done, and one that is being committed twice what is its.
// All aggregations that write hold kOutputsBytesMax of what they have read, and a batch each.
//
// What the process holds beside its connections: kInboxBytesMax and one batch of each link (at most
// kBatchBytesMax) of what peers sent; kApplyBytesMax, or all that belongs to one record, of what is
// being applied; of the outbox kMemtablesBytes, kCohortsBytes, kBlockCacheBytes, and
// kUnsyncedBytesMax and one batch; of redo kRedoRecordsBytesMax as they are on disk, or all records
// of one document, decoded; of the admin port kAdminAnswersMax answers, and kOwnQuestionsMax of up
// to 80 MiB; of each event loop kUnreadBytesMax, and what its writes append in one turn, in pieces
// of 1 MiB and one record (the rooms are shared by all loops). A record is at most kRecordBytesMax
// and one document; it passes kBatchBytesMax whole, and is sent in frames of kFrameBytesMax.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outrigger::limits {

// ---- messages of apps

// mongod's MaxMessageSizeBytes, 48 * 1000 * 1000.
inline constexpr size_t kMessageBytesMax = 48'000'000;
// One read of a socket; what a stream keeps that nobody has read, and what a framer may hold of a
// message that no room was made for.
inline constexpr size_t kUnreadBytesMax = 64 * 1024;
// A framer's buffer that grew beyond this is given back after its message.
inline constexpr size_t kKeptBufferBytesMax = kUnreadBytesMax;
// The rooms for messages that come in pieces (proxy/mongo/message_room.h), of all connections
// together:
// of those that have not logged in, of messages up to kSmallMessageBytesMax, and of larger ones.
// The first two are apart so that nobody waits behind large messages who sends none.
inline constexpr size_t kStrangerRoomBytes = 8 << 20;
inline constexpr size_t kSmallMessageBytesMax = 1 << 20;
inline constexpr size_t kSmallRoomBytes = 48 << 20;
inline constexpr size_t kLargeRoomBytes = 3 * kMessageBytesMax;
// Replies that are held, in each form, where they exceed one read: to be compressed (those that
// find no room go as they are), or since the store compressed them (those wait). What comes
// compressed takes room above for both forms.
inline constexpr size_t kRepliesRoomBytes = 2 * kMessageBytesMax;
// Connections that wait for room, each with up to kUnreadBytesMax; the longest waiting goes.
inline constexpr size_t kRoomWaitersMax = 1'024;
// While others wait for the room a message has taken, it has to come at this rate, after a grace.
inline constexpr size_t kMessageRateMin = 1 << 20;  // bytes a second
inline constexpr int64_t kMessageGraceMs = 2'000;

// ---- connections that mongod has not let in

// A hello is below 1 KiB, a SCRAM step below 1 KiB, a Kerberos or OIDC token some tens.
inline constexpr size_t kStrangerMessageBytesMax = 128 * 1024;
// A connection says something within this time, ends each message within it, and takes its answer.
inline constexpr int64_t kStrangerSilentMs = 10'000;
inline constexpr int64_t kStrangerServedMs = 60'000;
// Drivers watch a server over connections that never log in: one ping each heartbeatFrequencyMS,
// 10 s unless the app says otherwise.
inline constexpr int64_t kStrangerIdleMs = 30 * 60'000;

// ---- writes of apps

// mongod's maxWriteBatchSize.
inline constexpr size_t kStatementsMax = 100'000;
// Statements that are prepared, sent and recorded together, and their bytes beyond the first.
inline constexpr size_t kRunStatementsMax = 1'000;
inline constexpr size_t kRunBytesMax = 4 << 20;
// Of the documents read around a run, beyond the first; and how many are not asked for their size.
inline constexpr size_t kRunImagesBytesMax = 32 << 20;
inline constexpr size_t kUnaskedImagesMax = 16;
// What one statement for many documents may find, as names of documents: some millions.
inline constexpr size_t kFoundBytesMax = 512u << 20;
// What `$out` and `$merge` have read and not written yet, all together; and of one batch of their
// statements.
inline constexpr size_t kOutputsBytesMax = 256u << 20;
inline constexpr size_t kOutputBatchBytesMax = 8 << 20;
inline constexpr size_t kOutputBatchMax = 1'000;
// What a run becomes is several records where it is more than this, beyond the first document.
inline constexpr size_t kRecordBytesMax = 16u << 20;
inline constexpr size_t kAppNameBytesMax = 128;  // as mongod has it
// The rules of replication, as YAML.
inline constexpr size_t kRulesBytesMax = 32 << 10;
inline constexpr size_t kRulesMax = 500;  // likewise of paths
inline constexpr size_t kGlobBytesMax = 255;
inline constexpr size_t kPatternBytesMax = 1'024;
inline constexpr size_t kRuleLineBytesMax = 4'096;  // in normal form
inline constexpr size_t kRuleLinesBytesMax = 256 << 10;

// ---- transactions of apps

// What they have done, until they are committed: of one, and of all.
inline constexpr size_t kTransactionBytesMax = 64u << 20;
inline constexpr size_t kTransactionsBytesMax = 256u << 20;
// Open ones, most of which hold nothing.
inline constexpr size_t kTransactionsMax = 100'000;
// How long one waits for a document that somebody else writes to.
inline constexpr int64_t kTransactionLockUs = 5'000;

// ---- the link

inline constexpr uint32_t kFrameBytesMax = 1 << 20;
// Plain; a record has to fit, with both images of a document of 16 MiB in it.
inline constexpr size_t kBatchBytesMax = 64 << 20;
static_assert(kBatchBytesMax >= kRecordBytesMax + 2 * (size_t{16} << 20));

// ---- what peers sent, until it is applied

inline constexpr size_t kInboxBytesMax = 64 << 20;
// Of one batch, unless it is one record: as it came, and with all that is read and written for it.
inline constexpr size_t kDeliveryDocumentsMax = 4'000;
inline constexpr size_t kDeliveryBytesMax = 8 << 20;
inline constexpr size_t kApplyBytesMax = 64 << 20;
// Records set aside; beyond, the stream of the next one is held. Their bytes are on disk.
inline constexpr size_t kQuarantinedMax = 1'000;

// ---- what a store that came back has forgotten

// Records in memory beside those in use. Where records beyond it touch the same documents, each is
// read again for each of them.
inline constexpr size_t kRedoRecordsBytesMax = 32u << 20;

// ---- members

// Origins in any vector; what falls to each member are its epochs. Every hello, report and record
// header must stay below a frame.
inline constexpr size_t kOriginsMax = 3'072;
inline constexpr size_t kEpochsMin = 16;  // of each member
static_assert(kOriginsMax * 32 * 3 < kFrameBytesMax);

// ---- the outbox

inline constexpr uint64_t kMemtablesBytes = 32u << 20;  // all families together
inline constexpr size_t kBlockCacheBytes = 32u << 20;
inline constexpr size_t kCohortsBytes = 8u << 20;  // births beyond it get rows
// What no sync has covered yet. Mostly a few KiB: what is written in the time of a sync.
inline constexpr size_t kUnsyncedBytesMax = 64u << 20;

// ---- descriptors

// Tables RocksDB keeps open, beyond those it is writing.
inline constexpr uint64_t kTablesOpenMax = 512;
// Everything of ours that is no connection of an app, no peer and no table: the store's clients,
// the admin port, logs, RocksDB's own files, what is being closed.
inline constexpr uint64_t kOwnDescriptors = 96;
// Of each client connection: its own, and one to the store.
inline constexpr uint64_t kConnectionDescriptors = 2;
inline constexpr uint64_t kConnectionsMin = 4;  // fewer are no service
// Of each event loop beside the first: what it waits with, and what wakes it.
inline constexpr uint64_t kLoopDescriptors = 6;

// ---- event loops that serve apps

inline constexpr uint32_t kWorkersMax = 64;
// Connections that wait while a stranger of another loop is asked to make room for them: as many as
// are accepted in a turn.
inline constexpr size_t kNewcomersMax = 64;

// ---- the peers' port

// Accepted connections that have not finished their hello, beyond one a site.
inline constexpr size_t kUnopenedPeersMax = 32;

// ---- the admin port

inline constexpr size_t kAdminConnectionsMax = 32;
inline constexpr size_t kAdminHeadBytesMax = 8 * 1024;
inline constexpr int64_t kAdminRequestMs = 5'000;  // to send a request
inline constexpr int64_t kAdminAnswerMs = 30'000;  // to take the answer
inline constexpr size_t kAdminAnswersMax = 4;      // large answers being made or sent
inline constexpr size_t kConflictsShownMax = 1'000;
inline constexpr size_t kConflictsBytesMax = 1 << 20;  // of one answer, as BSON; one entry is whole

// ---- the database `outrigger`

// Questions that are answered at once. Each gathers kOwnGatheredBytesMax and a page (as /conflicts
// has it), sends as much to mongod, and holds one answer of it (16 MiB) and what is made of that.
inline constexpr size_t kOwnQuestionsMax = 2;
inline constexpr size_t kOwnGatheredBytesMax = 8 << 20;

}  // namespace outrigger::limits
