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
// message, the command it becomes). Before a login: kStrangerRoomBytes, whatever their number.
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
// The rooms for messages that come in pieces (proxy/message_room.h), of all connections together:
// of those that have not logged in, of messages up to kSmallMessageBytesMax, and of larger ones.
// The first two are apart so that nobody waits behind large messages who sends none.
inline constexpr size_t kStrangerRoomBytes = 8 << 20;
inline constexpr size_t kSmallMessageBytesMax = 1 << 20;
inline constexpr size_t kSmallRoomBytes = 48 << 20;
inline constexpr size_t kLargeRoomBytes = 3 * kMessageBytesMax;
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

// ---- descriptors

// Tables RocksDB keeps open, beyond those it is writing.
inline constexpr uint64_t kTablesOpenMax = 512;
// Everything of ours that is no connection of an app, no peer and no table: the store's clients,
// the admin port, logs, RocksDB's own files, what is being closed.
inline constexpr uint64_t kOwnDescriptors = 96;
// Of each client connection: its own, and one to the store.
inline constexpr uint64_t kConnectionDescriptors = 2;
inline constexpr uint64_t kConnectionsMin = 4;  // fewer are no service

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

}  // namespace outrigger::limits
