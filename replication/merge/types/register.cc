#include "replication/merge/types/register.h"

#include "replication/merge/types/decompose.h"

namespace outrigger::merge {
namespace {

// Beside the values of Content: a kDocument with fields, as it stands in a row.
constexpr uint8_t kDocumentFollows = 4;
// Added to these.
constexpr uint8_t kVersion = 8;

// What a row has of a document beside `given`. Nothing: the store has it.
bson::Bytes held(const Register& reg) {
  return reg.content == Content::kValue ? bson::Bytes(reg.value.bytes) : reg.fields.bytes;
}

}  // namespace

SharedBytes SharedBytes::of(bson::Bytes document) {
  auto owner = std::make_shared<const std::string>(document);
  const bson::Bytes bytes = *owner;
  return {std::move(owner), bytes};
}

Register assigned(const Effect& effect, Authorship& author) {
  Register reg;
  reg.stamp = author.stamp;
  if (effect.kind != Operation::kUnset) {
    if (is_container(effect.value.view(), effect.path)) {
      reg.content = Content::kDocument;
      reg.fields = SharedBytes::of(effect.value.bytes);
    } else {
      reg.content = Content::kValue;
      reg.value = effect.value;
    }
  }
  reg.baseline = sorted(author.named(effect.path));
  reg.is_version = effect.is_version;
  if (reg.is_version) {
    reg.given = reg.fields.bytes.empty() ? SharedBytes::of(effect.value.bytes) : reg.fields;
  }
  reg.order = author.next_order++;
  return reg;
}

void hold(Register& reg, const Path& path, const bson::Value& value, const SharedBytes& within) {
  if (is_container(value, path)) {
    reg.content = Content::kDocument;
    reg.fields = within.part(value.bytes);
  } else {
    reg.content = Content::kValue;
    reg.value = bson::OwnedValue(value);
  }
}

void join(Register& reg, const Register& other) {
  if (other.stamp == reg.stamp) {
    join(reg.baseline, other.baseline);
  } else if (other.stamp > reg.stamp) {
    reg = other;
  }
}

void leave_to_store(Register& reg) {
  reg.content = Content::kShown;
  reg.value = {};
  reg.fields = {};
}

void give_up_shown(Register& reg, const Path& path) {
  if (reg.content != Content::kShown) return;
  reg.content = path.empty() ? Content::kDocument : Content::kAbsent;
}

Register kept_in_row(const Register& reg, Content content) {
  Register kept;
  kept.stamp = reg.stamp;
  kept.content = content;
  if (content == Content::kValue) kept.value = reg.value;
  if (content == Content::kDocument) kept.fields = reg.fields;
  kept.is_version = reg.is_version;
  kept.given = reg.given;
  kept.baseline = reg.baseline;
  return kept;
}

void write_content(RowOut& out, const Register& reg) {
  out.dot(reg.stamp);
  const uint8_t version = reg.is_version ? kVersion : 0;
  if (reg.content == Content::kDocument && !reg.fields.document().empty()) {
    out.u8(kDocumentFollows | version);
    out.bytes(reg.fields.bytes);
  } else {
    out.u8(static_cast<uint8_t>(reg.content) | version);
    if (reg.content == Content::kValue) out.counted(reg.value);
  }
}

void write(RowOut& out, const Register& reg) {
  write_content(out, reg);
  if (reg.is_version) {
    const bool is_held = reg.content != Content::kShown && held(reg) == reg.given.bytes;
    out.bytes(is_held ? bson::Bytes() : reg.given.bytes);
  }
  write(out, reg.baseline);
}

void read_content(RowIn& in, Register& reg) {
  reg.stamp = in.dot();
  const uint8_t both = in.u8();
  const auto content = static_cast<uint8_t>(both & ~kVersion);
  reg.is_version = content != both;
  if (content > kDocumentFollows) in.fail("unknown content");
  reg.content = content == kDocumentFollows ? Content::kDocument : static_cast<Content>(content);
  if (reg.content == Content::kValue) reg.value = in.counted();
  if (content == kDocumentFollows) reg.fields = read_bytes(in);
}

void read(RowIn& in, Register& reg) {
  read_content(in, reg);
  if (reg.is_version) {
    reg.given = read_bytes(in);
    if (reg.given.bytes.empty()) reg.given = SharedBytes::of(held(reg));
    if (reg.given.bytes.empty()) in.fail("a version without its document");
  }
  read(in, reg.baseline);
}

SharedBytes read_bytes(RowIn& in) {
  const std::string_view bytes = in.bytes();
  if (bytes.empty()) return {};
  if (!bson::validate(bytes)) in.fail("not a document");
  return in.ok() ? SharedBytes::of(bytes) : SharedBytes();
}

}  // namespace outrigger::merge
