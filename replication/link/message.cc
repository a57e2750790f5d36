#include "replication/link/message.h"

#include <algorithm>

#include "config/site_name.h"
#include "replication/record/bytes.h"

namespace outrigger::link {
namespace {

constexpr std::string_view kMagic = "OUTRLINK";
constexpr size_t kPolicyHashBytesMax = 128;
constexpr size_t kPolicyLineBytesMax = 4096;
constexpr size_t kReportBytesMin = 16 + 8 + 1 + 3;  // site, epoch, serial, three empty vectors

tl::unexpected<Error> malformed(const char* what, const char* reason) {
  return fail(ErrorCode::kCorrupt, "read", what, reason);
}

// One message has one form.
ByteReader reader_of(std::string_view payload, const char* what) {
  ByteReader reader(payload, what);
  reader.only_shortest();
  return reader;
}

void write_strings(ByteWriter& writer, const std::vector<std::string>& strings) {
  writer.varint(strings.size());
  for (const std::string& text : strings) writer.bytes(text);
}

std::vector<std::string> read_strings(ByteReader& reader, size_t bytes_max) {
  std::vector<std::string> strings;
  size_t count = reader.count(SIZE_MAX, 1);
  for (size_t i = 0; i < count && reader.ok(); ++i) strings.emplace_back(reader.bytes(bytes_max));
  return strings;
}

void write_report(ByteWriter& writer, const Report& report) {
  writer.site(report.site);
  writer.u64(report.epoch);
  writer.varint(report.serial);
  writer.vector(report.vector);
  writer.vector(report.issued);
  writer.vector(report.closed);
}

Report read_report(ByteReader& reader) {
  Report report;
  report.site = reader.site();
  report.epoch = reader.u64();
  report.serial = reader.varint();
  report.vector = reader.vector();
  report.issued = reader.vector();
  report.closed = reader.vector();
  return report;
}

bool owns_only(const SiteId& site, const VersionVector& vector) {
  return std::all_of(vector.entries().begin(), vector.entries().end(),
                     [&](const VersionVector::Entry& entry) { return entry.first.site == site; });
}

bool overlaps(const Hello& hello) {
  return hello.version_min <= kVersionMax && hello.version_max >= kVersionMin;
}

void read_site(ByteReader& reader, SiteHello& site) {
  site.site = reader.bytes(kSiteNameBytesMax);
  site.site_id = reader.site();
  site.epoch = reader.u64();
  site.policy_hash = reader.bytes(kPolicyHashBytesMax);
  site.members = read_strings(reader, kSiteNameBytesMax);
  site.applied = reader.vector();
  site.stable = reader.vector();
  site.floor = reader.vector();
}

}  // namespace

std::string encode_hello(const Hello& hello) {
  ByteWriter writer;
  writer.raw(kMagic);
  writer.varint(hello.version_min);
  writer.varint(hello.version_max);
  writer.varint(hello.window_bytes);
  writer.bytes(hello.site.site);
  writer.site(hello.site.site_id);
  writer.u64(hello.site.epoch);
  writer.bytes(hello.site.policy_hash);
  write_strings(writer, hello.site.members);
  writer.vector(hello.site.applied);
  writer.vector(hello.site.stable);
  writer.vector(hello.site.floor);
  write_strings(writer, hello.policy_lines);
  return writer.take();
}

Result<Hello> decode_hello(std::string_view payload) {
  ByteReader reader = reader_of(payload, "hello");
  if (reader.raw(kMagic.size()) != kMagic) {
    return malformed("hello", "it does not begin as a link of Outrigger does");
  }
  Hello hello;
  uint64_t low = reader.varint();
  uint64_t high = reader.varint();
  if (!reader.ok() || low > high || high > UINT32_MAX) return malformed("hello", "no versions");
  hello.version_min = static_cast<uint32_t>(low);
  hello.version_max = static_cast<uint32_t>(high);
  hello.window_bytes = reader.varint();
  read_site(reader, hello.site);
  hello.policy_lines = read_strings(reader, kPolicyLineBytesMax);
  if (!overlaps(hello)) {
    // What stands behind the versions may mean anything; it is refused for the versions anyway.
    SiteHello unread;
    unread.site = is_site_name(hello.site.site) ? hello.site.site : "the other side";
    hello.site = unread;
    hello.policy_lines.clear();
    return hello;
  }
  if (!reader.ok()) return reader.error();
  const SiteHello& site = hello.site;
  bool named = is_site_name(site.site) &&
               std::all_of(site.members.begin(), site.members.end(), is_site_name);
  if (!named) return malformed("hello", "a site name is not of the form [a-z0-9-]{1,32}");
  hello.site.policy_hash = clean_text(site.policy_hash);
  return hello;
}

std::string encode_farewell(const Farewell& farewell) {
  ByteWriter writer;
  writer.u8(farewell.code);
  writer.bytes(std::string_view(farewell.text).substr(0, kTextBytesMax));
  return writer.take();
}

Result<Farewell> decode_farewell(std::string_view payload) {
  ByteReader reader = reader_of(payload, "refuse or bye");
  Farewell farewell;
  farewell.code = reader.u8();
  farewell.text = clean_text(reader.bytes(kTextBytesMax));
  reader.end();
  if (!reader.ok()) return reader.error();
  return farewell;
}

std::string encode_reports(const std::vector<Report>& reports) {
  ByteWriter writer;
  writer.varint(reports.size());
  for (const Report& report : reports) write_report(writer, report);
  return writer.take();
}

Result<std::vector<Report>> decode_reports(std::string_view payload) {
  ByteReader reader = reader_of(payload, "reports");
  std::vector<Report> reports;
  size_t count = reader.count(SIZE_MAX, kReportBytesMin);
  for (size_t i = 0; i < count && reader.ok(); ++i) {
    reports.push_back(read_report(reader));
    const Report& report = reports.back();
    if (!owns_only(report.site, report.issued) || !owns_only(report.site, report.closed)) {
      return malformed("reports", "a site reports what another site issued or closed");
    }
  }
  reader.end();
  if (!reader.ok()) return reader.error();
  return reports;
}

std::string encode_members(const std::vector<MemberId>& members) {
  ByteWriter writer;
  writer.varint(members.size());
  for (const MemberId& member : members) {
    writer.bytes(member.name);
    writer.site(member.id);
  }
  return writer.take();
}

Result<std::vector<MemberId>> decode_members(std::string_view payload) {
  ByteReader reader = reader_of(payload, "members");
  std::vector<MemberId> members;
  const size_t count = reader.count(kMembersMax, 1 + sizeof(SiteId));
  for (size_t i = 0; i < count && reader.ok(); ++i) {
    MemberId& member = members.emplace_back();
    member.name = reader.bytes(kSiteNameBytesMax);
    member.id = reader.site();
    if (!is_site_name(member.name)) return malformed("members", "a name is none of a site");
  }
  reader.end();
  if (!reader.ok()) return reader.error();
  return members;
}

std::string encode_varint(uint64_t value) {
  ByteWriter writer;
  writer.varint(value);
  return writer.take();
}

Result<uint64_t> decode_varint(std::string_view payload) {
  ByteReader reader = reader_of(payload, "number");
  uint64_t value = reader.varint();
  reader.end();
  if (!reader.ok()) return reader.error();
  return value;
}

std::string encode_time(uint64_t time) {
  ByteWriter writer;
  writer.u64(time);
  return writer.take();
}

Result<uint64_t> decode_time(std::string_view payload) {
  ByteReader reader = reader_of(payload, "time");
  uint64_t time = reader.u64();
  reader.end();
  if (!reader.ok()) return reader.error();
  return time;
}

std::string clean_text(std::string_view text) {
  std::string clean(text.substr(0, kTextBytesMax));
  for (char& c : clean) {
    auto byte = static_cast<unsigned char>(c);
    // Bytes above 0x7f as well: C1 controls hide there, and our own texts are ASCII.
    if (c != '\n' && (byte < 0x20 || byte >= 0x7f)) c = ' ';
  }
  return clean;
}

}  // namespace outrigger::link
