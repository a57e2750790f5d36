#include "replication/recovery/oplog_window.h"

#include "replication/recovery/oplog_time.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr int64_t kNoMajorityUs = 30'000'000;

}  // namespace

Result<Timestamp> OplogWindow::noted() const {
  auto bytes = outbox_.meta(meta_keys::kOplogTime);
  if (!bytes) return tl::unexpected(bytes.error());
  return *bytes ? decode_oplog_time(**bytes).value_or(Timestamp()) : Timestamp();
}

Status OplogWindow::write(Timestamp time) {
  outbox::Batch batch;
  batch.put_meta(meta_keys::kOplogTime, encode_oplog_time(time));
  return outbox_.write(std::move(batch));
}

// What is not in the oplog of a primary whose election a majority has in its own comes back with no
// later one: it is waited for once at each primary. Without a majority nobody can wait for that,
// and many writes may be in doubt. Any other error says nothing of a majority.
Status OplogWindow::wait_for_majority(Store& store) {
  const int64_t now_us = site_.context.clock.monotonic_us();
  const std::string process = store.process_id();
  const bool is_asked = waited_.process == process && !process.empty();
  if (is_asked && (waited_.is_settled || now_us < waited_.again_us)) return {};
  const Status settled = store.wait_settled();
  if (!settled && settled.error().code != ErrorCode::kTimeout) return settled;
  if (Status alive = store.ping(); !alive) return alive;
  if (store.process_id() != process) {
    return fail(ErrorCode::kUnavailable, "wait for a majority", "", "another primary was elected",
                "it is tried again");
  }
  waited_ = {process, settled.has_value(), now_us + kNoMajorityUs};
  return {};
}

Result<std::optional<std::vector<OplogWrite>>> OplogWindow::read(
    Store& store, const std::vector<std::string>& session_ids) {
  using Found = std::optional<std::vector<OplogWrite>>;
  auto info = store.info();
  if (!info) return tl::unexpected(info.error());
  if (info->kind == StoreKind::kStandalone || session_ids.empty()) return Found();
  if (info->kind == StoreKind::kMultiMember) {
    if (Status waited = wait_for_majority(store); !waited) return tl::unexpected(waited.error());
  }
  auto since = noted();
  if (!since) return tl::unexpected(since.error());
  auto entries = store.oplog_since(*since, session_ids);
  if (entries) return Found(std::move(*entries));
  if (entries.error().code != ErrorCode::kNotFound) return tl::unexpected(entries.error());
  warn_(
      "the oplog no longer reaches back to the last noted time; writes in doubt are settled by "
      "adopting what the store shows");
  return Found();
}

Status OplogWindow::begin_now(Store& store) {
  auto info = store.info();
  if (!info) return tl::unexpected(info.error());
  if (info->kind == StoreKind::kStandalone) return {};
  auto time = store.last_oplog_time();
  if (!time) return tl::unexpected(time.error());
  return write(*time);
}

Status OplogWindow::note(Store& store) {
  auto info = store.info();
  if (!info) return tl::unexpected(info.error());
  if (info->kind == StoreKind::kStandalone) return {};
  const SiteState::Standing before = site_.state.standing();
  if (candidate_ && before.published >= candidate_stamp_) {
    if (Status written = write(*candidate_); !written) return written;
    candidate_.reset();
  }
  if (candidate_) return {};
  auto time = store.last_oplog_time();
  if (!time) return tl::unexpected(time.error());
  candidate_ = *time;
  // Writes that begin later than this reading of `issued` are sent after it; the oplog was read
  // later still, so what they do may already be before `time`: take the stamps as of now.
  candidate_stamp_ = site_.state.standing().issued;
  return {};
}

Status OplogWindow::meet(Store& store) {
  auto info = store.info();
  if (!info) return tl::unexpected(info.error());
  if (info->kind != StoreKind::kMultiMember) return {};
  auto time = store.last_oplog_time();
  if (!time) return tl::unexpected(time.error());
  auto before = noted();
  if (!before) return tl::unexpected(before.error());
  candidate_.reset();
  return *time < *before ? write(*time) : Status();
}

}  // namespace outrigger
