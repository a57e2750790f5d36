#include "replication/merge/merge_world_values.h"

namespace outrigger::merge {

bson::OwnedValue RandomValues::value() {
  const int32_t fresh = ++counter_;
  switch (pick(9)) {
    case 0:
      return bson::make_string("s" + std::to_string(fresh));
    case 1:
      return bson::make_double(fresh + 0.5);
    case 2:
      return bson::make_int32(INT32_MAX - 2);
    case 3:
      return bson::OwnedValue();  // null
    case 4: {
      bson::Writer w;
      w.int32("0", fresh).int32("1", 1);
      return {bson::Type::kArray, w.finish()};
    }
    case 5: {
      if (add_only_) return bson::make_int32(fresh);  // opaque documents do not add up
      bson::Writer w;
      w.int32("twice", fresh).int32("twice", 1);
      return bson::make_document(w.finish());
    }
    default:
      return bson::make_int32(fresh);
  }
}

bson::OwnedValue RandomValues::delta() {
  const int32_t delta = static_cast<int32_t>(pick(13)) - 3;
  if (add_only_) return bson::make_int32(delta);
  switch (pick(10)) {
    case 0:
      return bson::make_double(0.1 * delta);
    case 1:
      return bson::make_int64(delta);
    default:
      return bson::make_int32(delta);
  }
}

// The number in one of the forms that MongoDB holds to be the same _id.
bson::OwnedValue RandomValues::id(const std::string& id) {
  const int number = std::stoi(id);
  switch (pick(5)) {
    case 0:
      return bson::make_double(number);
    case 1:
      return bson::make_int64(number);
    default:
      return bson::make_int32(number);
  }
}

}  // namespace outrigger::merge
