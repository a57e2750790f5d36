#include "replication/outbox/backend_note.h"

#include <utility>

#include "replication/outbox/batch.h"

namespace outrigger::outbox {

Result<BackendNote> BackendNote::write(Outbox& outbox, std::string key) {
  Batch batch;
  batch.put_meta(key, "");
  if (Status noted = outbox.write(std::move(batch)); !noted) return tl::unexpected(noted.error());
  return BackendNote(outbox, std::move(key));
}

BackendNote::BackendNote(BackendNote&& other) noexcept
    : outbox_(std::exchange(other.outbox_, nullptr)),
      key_(std::move(other.key_)),
      in_doubt_(other.in_doubt_) {}

BackendNote& BackendNote::operator=(BackendNote&& other) noexcept {
  if (this == &other) return *this;
  forget();
  outbox_ = std::exchange(other.outbox_, nullptr);
  key_ = std::move(other.key_);
  in_doubt_ = other.in_doubt_;
  return *this;
}

void BackendNote::forget() {
  Outbox* const outbox = std::exchange(outbox_, nullptr);
  if (outbox == nullptr || in_doubt_) return;
  Batch batch;
  batch.remove_meta(key_);
  // Failed: it stays noted, which only costs a look at the next start.
  static_cast<void>(outbox->write(std::move(batch)));
}

}  // namespace outrigger::outbox
