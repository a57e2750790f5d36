#include "replication/bson/bson.h"
#include "replication/bson/layout.h"

namespace outrigger::bson {

using internal::store;

void Writer::open_root() {
  out_.assign(4, '\0');
  open_.assign(1, 0);
}

void Writer::header(Type type, std::string_view name) {
  OUTRIGGER_ASSERT(std::memchr(name.data(), 0, name.size()) == nullptr || name.empty());
  out_.push_back(static_cast<char>(type));
  out_.append(name);
  out_.push_back('\0');
}

Writer& Writer::value(std::string_view name, const Value& v) {
  header(v.type, name);
  out_.append(v.bytes);
  return *this;
}

Writer& Writer::int32(std::string_view name, int32_t v) {
  header(Type::kInt32, name);
  store(out_, v);
  return *this;
}

Writer& Writer::int64(std::string_view name, int64_t v) {
  header(Type::kInt64, name);
  store(out_, v);
  return *this;
}

Writer& Writer::real(std::string_view name, double v) {
  header(Type::kDouble, name);
  store(out_, v);
  return *this;
}

Writer& Writer::boolean(std::string_view name, bool v) {
  header(Type::kBool, name);
  out_.push_back(v ? 1 : 0);
  return *this;
}

Writer& Writer::null(std::string_view name) {
  header(Type::kNull, name);
  return *this;
}

Writer& Writer::string(std::string_view name, std::string_view v) {
  header(Type::kString, name);
  store(out_, static_cast<int32_t>(v.size() + 1));
  out_.append(v);
  out_.push_back('\0');
  return *this;
}

Writer& Writer::date(std::string_view name, int64_t ms) {
  header(Type::kDate, name);
  store(out_, ms);
  return *this;
}

Writer& Writer::timestamp(std::string_view name, uint32_t seconds, uint32_t increment) {
  header(Type::kTimestamp, name);
  store(out_, increment);
  store(out_, seconds);
  return *this;
}

Writer& Writer::object_id(std::string_view name, Bytes twelve_bytes) {
  OUTRIGGER_ASSERT(twelve_bytes.size() == 12);
  return value(name, {Type::kObjectId, twelve_bytes});
}

Writer& Writer::binary(std::string_view name, uint8_t subtype, Bytes data) {
  header(Type::kBinary, name);
  store(out_, static_cast<int32_t>(data.size()));
  out_.push_back(static_cast<char>(subtype));
  out_.append(data);
  return *this;
}

Writer& Writer::document(std::string_view name, const Document& v) {
  return value(name, {Type::kDocument, v.bytes()});
}

Writer& Writer::array(std::string_view name, const Document& v) {
  return value(name, {Type::kArray, v.bytes()});
}

Writer& Writer::append_all(const Document& v) {
  const Bytes bytes = v.bytes();
  out_.append(bytes.substr(4, bytes.size() - 5));
  return *this;
}

Writer& Writer::open_document(std::string_view name) {
  header(Type::kDocument, name);
  open_.push_back(out_.size());
  out_.append(4, '\0');
  return *this;
}

Writer& Writer::open_array(std::string_view name) {
  open_document(name);
  out_[open_.back() - name.size() - 2] = static_cast<char>(Type::kArray);
  return *this;
}

Writer& Writer::close() {
  OUTRIGGER_ASSERT(open_.size() > 1);
  out_.push_back('\0');
  const auto length = static_cast<int32_t>(out_.size() - open_.back());
  std::memcpy(out_.data() + open_.back(), &length, sizeof length);
  open_.pop_back();
  return *this;
}

std::string Writer::finish() {
  OUTRIGGER_ASSERT(open_.size() == 1);
  out_.push_back('\0');
  const auto length = static_cast<int32_t>(out_.size());
  std::memcpy(out_.data(), &length, sizeof length);
  std::string done = std::move(out_);
  out_ = {};
  open_root();
  return done;
}

std::string index_name(size_t index) { return std::to_string(index); }

namespace {
template <typename T>
OwnedValue make_fixed(Type type, T v) {
  OwnedValue made;
  made.type = type;
  store(made.bytes, v);
  return made;
}
}  // namespace

OwnedValue make_int32(int32_t v) { return make_fixed(Type::kInt32, v); }
OwnedValue make_int64(int64_t v) { return make_fixed(Type::kInt64, v); }
OwnedValue make_double(double v) { return make_fixed(Type::kDouble, v); }
OwnedValue make_bool(bool v) { return {Type::kBool, std::string(1, v ? '\1' : '\0')}; }
OwnedValue make_document(std::string bytes) { return {Type::kDocument, std::move(bytes)}; }

OwnedValue make_string(std::string_view v) {
  OwnedValue made = make_fixed(Type::kString, static_cast<int32_t>(v.size() + 1));
  made.bytes.append(v).push_back('\0');
  return made;
}

}  // namespace outrigger::bson
