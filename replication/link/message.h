// What two sidecars say to each other, as values, and their bytes: FORMATS.md, section 10.
// Decoders take hostile bytes: every count is checked against the bytes that are really
// there, names and texts are cleaned before they can reach a log, and what is left over is an error
// (except behind a hello, where later versions may say more).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/causality/stability.h"
#include "replication/site/site_hello.h"

namespace outrigger::link {

inline constexpr uint32_t kVersionMin = 4;
inline constexpr uint32_t kVersionMax = 4;
inline constexpr size_t kTextBytesMax = 16 * 1024;  // of a refusal or a bye

enum class MessageType : uint8_t {
  kHello = 1,
  kWelcome = 2,
  kRefuse = 3,
  kBatch = 4,
  kReports = 5,
  kCredit = 6,
  kPing = 7,
  kPong = 8,
  kBye = 9,
  kMembers = 10,
};

// The only flag there is: more frames of this batch follow.
inline constexpr uint8_t kFlagMore = 0x01;

// Why a hello was refused. The numbers are on the wire.
enum class RefuseCode : uint8_t {
  kOther = 0,
  kVersion = 1,
  kUnlisted = 2,
  kWrongSite = 3,
  kCertificate = 4,
  kClone = 5,
  kIdentityChanged = 6,
  kMembers = 7,
  kPolicy = 8,
  kBelowFloor = 9,
  kRestored = 10,
};

// Why an open link was closed.
enum class ByeCode : uint8_t {
  kOther = 0,
  kShutdown = 1,
  kDuplicate = 2,  // another link to the same site stands
  kProtocol = 3,   // what was sent cannot be
  kSilent = 4,
  kRefusedData = 5,  // well formed, but this site may not take it
};

struct Hello {
  uint32_t version_min = kVersionMin;
  uint32_t version_max = kVersionMax;
  uint64_t window_bytes = 0;  // batch bytes the other side may have unacknowledged
  SiteHello site;
  std::vector<std::string> policy_lines;  // normal form, so that a refusal can name differences
};

struct Farewell {  // of a refuse or bye
  uint8_t code = 0;
  std::string text;
};

[[nodiscard]] std::string encode_hello(const Hello& hello);
// kCorrupt when these bytes are no hello; a hello of any version decodes.
[[nodiscard]] Result<Hello> decode_hello(std::string_view payload);

[[nodiscard]] std::string encode_farewell(const Farewell& farewell);
[[nodiscard]] Result<Farewell> decode_farewell(std::string_view payload);

// Of no more reports than fit one frame; the caller splits (a report takes a few hundred bytes).
[[nodiscard]] std::string encode_reports(const std::vector<Report>& reports);
[[nodiscard]] Result<std::vector<Report>> decode_reports(std::string_view payload);

// Of the other sites that the sender knows. Names are checked, and no more than kMembersMax taken.
inline constexpr size_t kMembersMax = 256;
[[nodiscard]] std::string encode_members(const std::vector<MemberId>& members);
[[nodiscard]] Result<std::vector<MemberId>> decode_members(std::string_view payload);

// Welcome (version) and credit (bytes) carry one varint; ping and pong one u64.
[[nodiscard]] std::string encode_varint(uint64_t value);
[[nodiscard]] Result<uint64_t> decode_varint(std::string_view payload);
[[nodiscard]] std::string encode_time(uint64_t time);
[[nodiscard]] Result<uint64_t> decode_time(std::string_view payload);

// A peer's words, fit for a terminal, a log line and /status: control bytes become spaces (line
// breaks stay), at most kTextBytesMax.
[[nodiscard]] std::string clean_text(std::string_view text);

}  // namespace outrigger::link
