#include "proxy/mongo/wire/op_msg.h"

#include "proxy/mongo/wire/cursor.h"
#include "proxy/mongo/wire/error_reply.h"
#include "replication/bson/crc32c.h"

namespace outrigger::wire {
namespace {

constexpr uint32_t kKnownFlags = kChecksumPresent | kMoreToCome | kExhaustAllowed;
constexpr uint32_t kRequiredMask = 0xffff;  // the high half is optional: unknown bits are ignored
constexpr size_t kChecksumBytes = 4;
constexpr size_t kSequencesMax = 2;
constexpr uint8_t kKindBody = 0;
constexpr uint8_t kKindSequence = 1;
constexpr uint8_t kKindSecurityToken = 2;  // between servers only

tl::unexpected<WireError> cut_off(const char* what) {
  return wire_fail(code::kOverflow, std::string("OP_MSG is cut off in ") + what);
}

class Parser {
 public:
  Parser(Bytes message, bool trusted) : message_(message), trusted_(trusted) {}

  WireResult<OpMsg> run() {
    const auto header = read_header(message_);
    if (!header || header->op_code != OpCode::kMsg ||
        static_cast<size_t>(header->message_length) != message_.size()) {
      return wire_fail(code::kProtocolError, "not one whole OP_MSG", true);
    }
    parsed_.header = *header;
    Cursor cursor(message_.substr(kHeaderBytes));
    parsed_.flags = static_cast<uint32_t>(cursor.int32());
    if (cursor.failed()) {
      return wire_fail(code::kProtocolError, "OP_MSG is cut off in its flags", true);
    }
    if ((parsed_.flags & ~kKnownFlags & kRequiredMask) != 0) {
      return wire_fail(code::kIllegalOpMsgFlag,
                       "Message contains illegal flags value: " + std::to_string(parsed_.flags),
                       true);
    }
    Bytes sections = cursor.rest();
    if (has_checksum()) {
      if (sections.size() < kChecksumBytes) return cut_off("its checksum");
      sections.remove_suffix(kChecksumBytes);
    }
    Cursor sections_cursor(sections);
    while (!sections_cursor.at_end()) {
      if (auto done = section(sections_cursor); !done) return tl::unexpected(done.error());
    }
    if (auto done = finish(); !done) return tl::unexpected(done.error());
    return std::move(parsed_);
  }

 private:
  [[nodiscard]] bool has_checksum() const { return (parsed_.flags & kChecksumPresent) != 0; }

  WireResult<void> section(Cursor& cursor) {
    const uint8_t kind = cursor.byte();
    if (kind == kKindBody) return body(cursor);
    if (kind == kKindSequence) return sequence(cursor);
    if (kind == kKindSecurityToken) {
      return wire_fail(code::kUnauthorized, "Unsupported Security Token provided");
    }
    return wire_fail(40432, "Unknown section kind " + std::to_string(kind));
  }

  WireResult<void> body(Cursor& cursor) {
    if (have_body_) return wire_fail(40430, "Multiple body sections in message");
    have_body_ = true;
    return document(cursor, parsed_.body);
  }

  WireResult<void> sequence(Cursor& cursor) {
    if (parsed_.sequences.size() == kSequencesMax) {
      return wire_fail(code::kTooManyDocumentSequences, "Too many document sequences in OP_MSG",
                       true);
    }
    const int32_t size = cursor.int32();  // counts itself
    if (cursor.failed() || size < 4) return cut_off("a document sequence's length");
    Cursor inside(cursor.take(static_cast<size_t>(size) - 4));
    if (cursor.failed()) return cut_off("a document sequence");
    Sequence made;
    made.identifier = inside.cstring();
    if (inside.failed()) return cut_off("a document sequence's identifier");
    if (parsed_.sequence(made.identifier) != nullptr) {
      return wire_fail(40431, "Duplicate document sequence: " + std::string(made.identifier));
    }
    made.bytes = inside.rest();
    while (!inside.at_end()) {
      if (auto done = document(inside, made.documents.emplace_back()); !done) return done;
    }
    if (!have_body_) parsed_.sequences_first = true;
    parsed_.sequences.push_back(std::move(made));
    return {};
  }

  WireResult<void> document(Cursor& cursor, bson::Document& out) {
    const Bytes at = cursor.rest();
    out = cursor.document();
    if (cursor.failed()) {
      return wire_fail(code::kInvalidBson, "document does not fit into the " +
                                               std::to_string(at.size()) + " bytes left of OP_MSG");
    }
    if (out.bytes().size() > bson::kDocumentBytesMax) {
      return wire_fail(code::kBsonObjectTooLarge,
                       "BSONObj size: " + std::to_string(out.bytes().size()) +
                           " is invalid. Size must be between 0 and " +
                           std::to_string(bson::kDocumentBytesMax));
    }
    if (trusted_) return {};
    if (auto valid = bson::validate(out.bytes()); !valid) {
      const bool too_deep = valid.error().code == ErrorCode::kUnsupported;
      return wire_fail(too_deep ? code::kOverflow : code::kInvalidBson, valid.error().message());
    }
    return {};
  }

  WireResult<void> finish() {
    if (!have_body_) return wire_fail(40587, "OP_MSG messages must have a body");
    for (const Sequence& made : parsed_.sequences) {
      if (body_has_path(made.identifier)) {
        return wire_fail(40433, "Duplicate field between body and document sequence " +
                                    std::string(made.identifier));
      }
    }
    if (!has_checksum()) return {};
    const Bytes covered = message_.substr(0, message_.size() - kChecksumBytes);
    Cursor trailer(message_.substr(covered.size()));
    if (static_cast<uint32_t>(trailer.int32()) != crc32c(covered)) {
      return wire_fail(code::kChecksumMismatch, "OP_MSG checksum does not match contents", true);
    }
    return {};
  }

  // As mongod looks: an identifier is a dotted path into the body.
  [[nodiscard]] bool body_has_path(std::string_view path) const {
    bson::Document at = parsed_.body;
    for (;;) {
      const size_t dot = path.find('.');
      const auto found = at.find(path.substr(0, dot));
      if (!found || dot == std::string_view::npos) return found.has_value();
      if (found->type == bson::Type::kArray) return true;
      if (found->type != bson::Type::kDocument) return false;
      at = found->as_document();
      path.remove_prefix(dot + 1);
    }
  }

  Bytes message_;
  bool trusted_;
  bool have_body_ = false;
  OpMsg parsed_;
};

}  // namespace

std::string_view OpMsg::command_name() const {
  const auto first = body.first();
  return first ? first->name : std::string_view();
}

std::string_view OpMsg::database() const {
  const auto db = body.find("$db");
  return db && db->type == bson::Type::kString ? db->as_string() : std::string_view();
}

std::string ns_of(const OpMsg& parsed) {
  const auto command = parsed.body.first();
  if (!command || command->value.type != bson::Type::kString) return {};
  std::string ns(parsed.database());  // for every write: fmt takes ten times as long
  return ns.append(".").append(command->value.as_string());
}

const Sequence* OpMsg::sequence(std::string_view identifier) const {
  for (const Sequence& made : sequences) {
    if (made.identifier == identifier) return &made;
  }
  return nullptr;
}

WireResult<OpMsg> parse_op_msg(Bytes message) { return Parser(message, false).run(); }
WireResult<OpMsg> parse_op_msg_trusted(Bytes message) { return Parser(message, true).run(); }

std::optional<uint32_t> peek_op_msg_flags(Bytes message_start) {
  if (message_start.size() < kHeaderBytes + 4) return std::nullopt;
  return static_cast<uint32_t>(Cursor(message_start.substr(kHeaderBytes)).int32());
}

std::string build_op_msg(int32_t request_id, int32_t response_to, uint32_t flags,
                         const bson::Document& body, const std::vector<SequenceOut>& sequences) {
  const bool checksum = (flags & kChecksumPresent) != 0;
  size_t size = kHeaderBytes + 4 + 1 + body.bytes().size() + (checksum ? kChecksumBytes : 0);
  for (const SequenceOut& s : sequences)
    size += 1 + 4 + s.identifier.size() + 1 + s.documents.size();
  std::string out;
  out.reserve(size);
  append_header(out, {static_cast<int32_t>(size), request_id, response_to, OpCode::kMsg});
  append_int32(out, static_cast<int32_t>(flags));
  out.push_back(static_cast<char>(kKindBody));
  out.append(body.bytes());
  for (const SequenceOut& s : sequences) {
    out.push_back(static_cast<char>(kKindSequence));
    append_int32(out, static_cast<int32_t>(4 + s.identifier.size() + 1 + s.documents.size()));
    out.append(s.identifier).push_back('\0');
    out.append(s.documents);
  }
  if (checksum) append_int32(out, static_cast<int32_t>(crc32c(out)));
  return out;
}

}  // namespace outrigger::wire
