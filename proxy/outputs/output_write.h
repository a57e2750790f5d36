// `$out`, `$merge` and mapReduce into a collection: a read, and writes of what it gives.
//
//   check   mongod explains the command: it is right, and its user may
//   read    the pipeline without its last stage, batch by batch
//   write   $merge: what each batch asks for, as it comes. $out: nothing before all is read, for
//           the pipeline may read what it writes to, or fail; then each document replaces the one
//           of its _id, and what was not written is deleted
//
// So what a peer or a reader sees of a `$out` changes document by document, and a crash can leave
// it half-way, as with `$merge`; MongoDB renames a whole collection. Documents stand in the order
// they were first written in. A `$out` waits for all other outputs into its collection, and they
// for it: the last of two would delete what the other has written.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/outputs/output_target.h"

namespace outrigger {

class OutputWrite {
 public:
  // `parsed`, an aggregate or a mapReduce, and the others outlive it. `writing`: as OutputTarget's.
  // Where `stage` writes is not a namespace that stays here.
  OutputWrite(ProxyContext& context, Backend& backend, bool& writing, const wire::OpMsg& parsed,
              OutputStage stage)
      : context_(context),
        backend_(backend),
        writing_(writing),
        parsed_(parsed),
        stage_(std::move(stage)),
        target_(context, backend, writing, parsed, stage_) {}
  ~OutputWrite() { let_go(); }
  OutputWrite(const OutputWrite&) = delete;
  OutputWrite& operator=(const OutputWrite&) = delete;

  net::Task<Answer> run();

 private:
  using Failed = OutputFailed;

  net::Task<Failed> check();
  net::Task<Failed> copy();
  net::Task<Failed> finish_out();
  net::Task<Failed> take_batch(const bson::Document& reply);
  Failed take(const bson::Document& shown);
  Failed note_id(const OutputDocument& document);
  net::Task<Failed> write_held();
  [[nodiscard]] size_t batch_end(size_t first) const;
  net::Task<Failed> write_batch(size_t& first, size_t end);
  net::Task<Failed> make_room(OutputTarget::Written& written, size_t end);
  net::Task<Failed> write_each();
  [[nodiscard]] bool is_out() const { return stage_.kind == OutputStage::Kind::kOut; }
  [[nodiscard]] bool is_late() const;
  void let_go();
  [[nodiscard]] std::string answer_body() const;

  ProxyContext& context_;
  Backend& backend_;
  bool& writing_;
  const wire::OpMsg& parsed_;
  const OutputStage stage_;
  OutputTarget target_;
  int64_t cursor_ = 0;
  std::string read_ns_;  // of the cursor
  std::vector<OutputDocument> held_;
  size_t held_bytes_ = 0;
  OutputTarget::Ids taken_;             // $out: canonical _ids of all that was read
  OutputTarget::Ids written_;           // of what is written, once somebody has been in the way
  size_t written_end_ = 0;              // of those among what is held
  std::optional<int64_t> deadline_us_;  // the app's, until something is written
};

}  // namespace outrigger
