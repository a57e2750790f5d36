// Tests only: random documents of every type, from a seed.
#pragma once

#include <cstring>
#include <random>

#include "replication/bson/bson.h"

namespace outrigger::bson::testing {

class RandomDocument {
 public:
  explicit RandomDocument(uint64_t seed) : random_(seed) {}

  std::string next() {
    Writer writer;
    fill(writer, 0, false);
    return writer.finish();
  }

  uint64_t below(uint64_t end) { return random_() % end; }

  // A number of any type; small ones and the edges are frequent.
  OwnedValue number() {
    static const double kDoubles[] = {0.0,    -0.0,     1.0,       0.1,       0.5,
                                      0x1p53, 0x1p63,   -0x1p63,   1e300,     5e-324,
                                      1e22,   1.0 / 0., -1.0 / 0., 0.0 / 0.0, 9007199254740991.0};
    static const int64_t kIntegers[] = {0,         1,         -1,        INT32_MAX,
                                        INT32_MIN, INT64_MAX, INT64_MIN, (1LL << 53) + 1};
    const auto small = static_cast<int64_t>(below(7)) - 3;
    switch (below(8)) {
      case 0:
        return make_int32(static_cast<int32_t>(small));
      case 1:
        return make_int64(small);
      case 2:
        return make_double(static_cast<double>(small) / 2);
      case 3:
        return make_int64(kIntegers[below(std::size(kIntegers))]);
      case 4:
        return make_double(kDoubles[below(std::size(kDoubles))]);
      case 5:
        return make_int32(static_cast<int32_t>(random_()));
      default:
        return decimal();
    }
  }

  OwnedValue decimal() {
    OwnedValue v{Type::kDecimal128, std::string(16, '\0')};
    if (below(8) == 0) {
      for (char& c : v.bytes) c = static_cast<char>(random_());
      return v;
    }
    const uint64_t coefficient = below(2) == 0 ? below(1000) : random_() >> below(64);
    uint64_t high = (6176 + below(13) - 6) << 49 | below(2) << 63;
    if (below(4) == 0) high |= random_() >> 17;
    memcpy(v.bytes.data(), &coefficient, 8);
    memcpy(v.bytes.data() + 8, &high, 8);
    return v;
  }

 private:
  std::string text() {
    std::string made(below(12), 'x');
    for (char& c : made) c = static_cast<char>('a' + below(26));
    return made;
  }

  void fill(Writer& writer, int depth, bool array) {
    const size_t count = below(6);
    for (size_t i = 0; i < count; ++i) element(writer, array ? index_name(i) : text(), depth);
  }

  void element(Writer& writer, const std::string& name, int depth) {
    std::string twelve(12, static_cast<char>(below(256)));
    switch (below(depth < 5 ? 20 : 16)) {
      case 0:
        writer.string(name, text() + std::string(below(2), '\0'));
        break;
      case 1:
        writer.binary(name, below(2) ? 0 : 4, text());
        break;
      case 2:
        writer.object_id(name, twelve);
        break;
      case 3:
        writer.boolean(name, below(2) != 0);
        break;
      case 4:
        writer.date(name, static_cast<int64_t>(random_()));
        break;
      case 5:
        writer.null(name);
        break;
      case 6:
        writer.value(name, Value{Type::kRegex, Bytes("a.b\0ix\0", 7)});
        break;
      case 7:
        writer.value(name, Value{Type::kDbPointer, Bytes("\2\0\0\0c\0abcdefghijkl", 18)});
        break;
      case 8:
        writer.value(name, OwnedValue(Type::kCode, make_string(text()).bytes));
        break;
      case 9:
        writer.value(name, OwnedValue(Type::kSymbol, make_string(text()).bytes));
        break;
      case 10:
        writer.timestamp(name, 7, 9);
        break;
      case 11:
        writer.value(name, Value{Type::kMinKey, {}});
        break;
      case 12:
        writer.value(name, Value{Type::kMaxKey, {}});
        break;
      case 13:
        writer.value(name, Value{Type::kUndefined, {}});
        break;
      case 14:
        code_with_scope(writer, name);
        break;
      case 15:
        writer.value(name, number());
        break;
      default: {
        const bool array = below(2) != 0;
        array ? writer.open_array(name) : writer.open_document(name);
        fill(writer, depth + 1, array);
        writer.close();
      }
    }
  }

  void code_with_scope(Writer& writer, const std::string& name) {
    const std::string code = make_string("f()").bytes;
    const std::string scope = Writer().int32("x", 1).finish();
    OwnedValue v = make_int32(static_cast<int32_t>(4 + code.size() + scope.size()));
    v.type = Type::kCodeWithScope;
    v.bytes += code + scope;
    writer.value(name, v);
  }

  std::mt19937_64 random_;
};

}  // namespace outrigger::bson::testing
