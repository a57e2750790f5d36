// Questions of ours to mongod around a write, and what its answers hold: which documents a filter
// finds, how large documents are, and their images, as they are before a run and after it. Pure;
// the connection they go over is writes/store_reads.h.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/capture/run.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {

enum class Taken : uint8_t { kBefore, kAfter };  // an image, of the run

[[nodiscard]] std::vector<const RunItem*> items_needing(const Run& run, Taken taken);

// {find: c, filter: {_id: {$in: ids}}, ...}: the documents of the items. Where all that is needed
// of them before the run are the values that increments add to, no more than these.
[[nodiscard]] std::string build_images_find(const WriteCommand& command,
                                            const std::vector<const RunItem*>& items, Taken taken);
// The same as a message, answered in one batch. `transaction`: Transaction::naming, where it is in
// one.
[[nodiscard]] std::string build_images_message(const WriteCommand& command,
                                               const std::vector<const RunItem*>& items,
                                               Taken taken, const std::string& transaction,
                                               int32_t request_id);
// Which image of its document the answer itself holds: a findAndModify that projects nothing gives
// it. Nothing: none.
[[nodiscard]] std::optional<Taken> image_in_answer(const WriteCommand& command);
// Adds that image, where the answer has one.
void take_answered_image(const bson::Document& reply, Images& images);
// The same documents' sizes, {_id, bytes} each.
[[nodiscard]] std::string build_sizes_find(const WriteCommand& command,
                                           const std::vector<const RunItem*>& items);
// The _id of each document that the statement's filter finds. `among`: of these alone, whatever the
// statement says of their order. `limit` 0: all.
[[nodiscard]] std::string build_ids_find(const WriteCommand& command, const Statement& statement,
                                         size_t limit, const std::vector<bson::OwnedValue>* among);

using wire::is_ok;
// Shows every document of a find's or getMore's answer; gives the cursor that is left, 0: none.
using Visit = std::function<void(const bson::Document&)>;
int64_t show_batch(const bson::Document& reply, const Visit& visit);
// Adds the documents of a find's answer; false when it is an error.
[[nodiscard]] bool take_images(const std::string& message, Images& images);
void take_image(const bson::Document& document, Images& images);

// Bytes by canonical _id, of what build_sizes_find asked for.
using Sizes = std::map<std::string, size_t>;
void take_size(const bson::Document& document, Sizes& sizes);
// How many items, the first at least, whose images together stay within kRunImagesBytesMax.
[[nodiscard]] size_t fitting_items(const Run& run, const Sizes& sizes);

}  // namespace outrigger
