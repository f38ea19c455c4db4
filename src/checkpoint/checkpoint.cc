// Steps, and what holds after each:
//
//   request    every process of the job can be saved by this Cairn
//   freeze     no thread of the job runs guest code or is inside the kernel for the guest
//   drain      no data is on its way between processes of the job
//   capture    kernel objects, threads and the memory map are in records
//   memory     the pages are read, and the records say where they are stored
//   sync       records and pages are on disk, checksummed, under a name that no reader looks at
//   commit     the generation exists
//   thaw       the job runs on, or is ended if that was asked for
//
// A failure anywhere removes what was written and thaws: the destructors of Round do both, in the
// reverse order of the steps.

#include "checkpoint/checkpoint.h"

#include <signal.h>

#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/log.h"
#include "checkpoint/freeze.h"
#include "checkpoint/save_content.h"
#include "image/image.h"
#include "resources/capture.h"
#include "resources/remote_process.h"

namespace cairn::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kThawTimeout{10'000};

std::uint32_t as_number(image::RecordKind kind) { return static_cast<std::uint32_t>(kind); }

// Measures from its making or its last lap.
class Stopwatch {
 public:
  microseconds lap() {
    const auto now = Clock::now();
    const auto passed = std::chrono::duration_cast<microseconds>(now - last_);
    last_ = now;
    return passed;
  }

 private:
  Clock::time_point last_ = Clock::now();
};

struct Member {
  std::unique_ptr<Freeze> freeze;
  std::optional<resources::RemoteProcess> remote;
};

// One run of the path.
class Round {
 public:
  Round(Job& job, const Request& request)
      : job_(job), request_(request), deadline_(request.timeout) {}
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;
  ~Round();

  Result<> check_members();
  Result<> freeze();
  Result<> connect();
  Result<> begin();
  Result<> capture();
  Result<> memory();
  Result<> records();
  Result<> sync();
  Result<> commit();
  Result<> thaw();

  [[nodiscard]] Result<> check_deadline(const char* phase) const;
  Outcome outcome;

 private:
  void show(std::string_view phase, std::uint64_t done = 0, std::uint64_t total = 0) const {
    if (request_.progress) request_.progress(phase, done, total);
  }

  Job& job_;
  const Request& request_;
  const Deadline deadline_;
  const Clock::time_point started_ = Clock::now();
  std::vector<Member> members_;
  resources::JobCapture capture_;  // reads from the members
  std::unique_ptr<storage::GenerationWriter> writer_;
  std::uint64_t number_ = 0;
  std::vector<storage::NodeSummary> summaries_;
  std::vector<resources::FileKey> files_in_image_;  // with their content
  bool committed_ = false;
};

Round::~Round() {
  writer_.reset();
  if (number_ != 0 && !committed_)
    if (const auto aborted = job_.store.abort(number_); !aborted)
      log_error("abort", "reason={}", log_value(aborted.error().message()));
  if (const auto thawed = thaw(); !thawed)
    log_error("thaw", "reason={}", log_value(thawed.error().message()));
}

Result<> Round::check_members() {
  if (request_.processes.empty()) return refusal("the job has no process that could be saved");
  for (const abi::ProcessSlot* slot : request_.processes)
    if (slot->state.load() == static_cast<std::uint32_t>(abi::SlotState::kUnsupported))
      return refusal("process " + std::to_string(slot->real_pid.load()) + " cannot be saved: " +
                     std::string(slot->reason, ::strnlen(slot->reason, sizeof slot->reason)));
  if (request_.processes.size() > 1)
    return refusal("the job has " + std::to_string(request_.processes.size()) +
                   " processes; only jobs of one process can be saved");
  return {};
}

Result<> Round::freeze() {
  show("freeze");
  Stopwatch watch;
  const Deadline limit(std::min(request_.freeze_timeout, request_.timeout));
  job_.freeze_word = next_freeze_word(job_.freeze_word);
  for (abi::ProcessSlot* slot : request_.processes) {
    job_.connections.forget(RealPid{slot->real_pid.load()});
    auto freeze = std::make_unique<Freeze>(*slot, kernel_task_control(), job_.freeze_word);
    // Of an earlier freeze: threads that are still on their way back would be counted twice.
    CAIRN_TRY(freeze->wait_unparked(limit));
    members_.push_back({std::move(freeze), std::nullopt});
  }
  for (const Member& member : members_) CAIRN_TRY(member.freeze->request());
  for (const Member& member : members_) {
    CAIRN_TRY(member.freeze->wait_parked(limit));
    outcome.threads += member.freeze->threads();
  }
  outcome.processes = static_cast<std::uint32_t>(members_.size());
  outcome.phases.freeze = watch.lap();
  return {};
}

Result<> Round::connect() {
  for (Member& member : members_) {
    member.freeze->choose_server();
    CAIRN_ASSIGN(Fd link, job_.connections.wait_for(member.freeze->pid(), Deadline{kThawTimeout}));
    CAIRN_ASSIGN(member.remote, resources::RemoteProcess::open(std::move(link)));
    const abi::LinkHello& hello = member.remote->hello();
    if (hello.purpose != abi::LinkPurpose::kCapture ||
        hello.freeze_word != member.freeze->word())
      return refusal("a process answered for another freeze");
  }
  return {};
}

Result<> Round::begin() {
  CAIRN_ASSIGN(writer_, job_.store.begin_generation({}));
  number_ = writer_->number();
  set_log_generation(number_);
  return {};
}

Result<> Round::capture() {
  show("capture");
  Stopwatch watch;
  resources::CaptureOptions options;
  options.files = request_.files;
  options.cpu = job_.cpu;
  options.sysv = &job_.sysv;
  std::vector<resources::RemoteProcess*> processes;
  for (Member& member : members_) processes.push_back(&*member.remote);
  CAIRN_ASSIGN(capture_, resources::capture_job(processes, options));
  for (image::ProcessImage& process : capture_.processes)
    process.mutable_runtime()->set_mode(job_.mode);
  outcome.phases.capture = watch.lap();
  return {};
}

Result<> Round::memory() {
  Stopwatch watch;
  std::uint64_t total = 0;
  std::uint64_t done = 0;
  for (const resources::ContentPlan& content : capture_.contents) total += content_bytes(content);
  const auto progress = [&](std::uint64_t bytes) { show("memory", done += bytes, total); };
  for (const resources::ContentPlan& content : capture_.contents) {
    CAIRN_ASSIGN(const storage::PageDataRef pages, save_content(content, *writer_, progress));
    resources::set_content(capture_, content, pages);
  }
  capture_.contents.clear();
  outcome.phases.memory = watch.lap();
  return {};
}

// Only now are the records whole: they say where the pages are.
Result<> Round::records() {
  for (image::KernelObject& object : capture_.objects) {
    if (object.regular_file().rule() == image::FILE_RULE_CONTENT)
      files_in_image_.emplace_back(object.regular_file().file().device(),
                                   object.regular_file().file().inode());
    const std::uint64_t id = object.id();
    CAIRN_ASSIGN(const std::string bytes, image::encode(std::move(object)));
    CAIRN_TRY(writer_->add_record(as_number(image::RecordKind::kObject), id, bytes));
  }
  for (image::ProcessImage& process : capture_.processes) {
    const auto id = static_cast<std::uint64_t>(process.pid());
    CAIRN_ASSIGN(const std::string bytes, image::encode(std::move(process)));
    CAIRN_TRY(writer_->add_record(as_number(image::RecordKind::kProcess), id, bytes));
  }
  return {};
}

Result<> Round::sync() {
  show("sync");
  Stopwatch watch;
  CAIRN_ASSIGN(storage::NodeSummary summary, writer_->finish());
  writer_.reset();
  summaries_.push_back(std::move(summary));
  outcome.phases.sync = watch.lap();
  return {};
}

Result<> Round::commit() {
  show("commit");
  Stopwatch watch;
  // Before the commit, so that no moment is without a journal; one that is begun in vain costs
  // nothing.
  resources::JournalPositions journals;
  if (job_.journal != nullptr) {
    CAIRN_ASSIGN(journals, job_.journal->begin(files_in_image_));
  }
  const nlohmann::json info{{"name", job_.name},
                            {"processes", outcome.processes},
                            {"threads", outcome.threads},
                            {"mode", job_.mode},
                            {"journals", resources::positions_to_text(journals)}};
  CAIRN_ASSIGN(outcome.generation, job_.store.commit(number_, summaries_, info.dump()));
  committed_ = true;
  // Before the thaw: nothing of the job may happen after the generation that ends it.
  if (request_.kill)
    for (const Member& member : members_) ::kill(member.freeze->pid().value, SIGKILL);
  if (request_.kill)
    for (const Member& member : members_)
      if (!wait_for_process_end(member.freeze->pid().value, 0, Deadline{kThawTimeout}))
        log_warning("a killed process has not ended", "process={}", member.freeze->pid().value);
  outcome.phases.commit = watch.lap();
  return {};
}

Result<> Round::thaw() {
  Result<> first;
  const bool killed = committed_ && request_.kill;
  for (Member& member : members_) {
    if (member.remote && !killed)
      if (const auto thawed = member.remote->thaw(); !thawed && first) first = thawed;
    member.remote.reset();
    member.freeze->release();
  }
  if (!members_.empty())
    outcome.phases.frozen = std::chrono::duration_cast<microseconds>(Clock::now() - started_);
  members_.clear();
  return first;
}

Result<> Round::check_deadline(const char* phase) const {
  if (!deadline_.passed()) return {};
  return failure(ETIMEDOUT, std::string("finish the checkpoint in time (") + phase + ")");
}

}  // namespace

Result<Outcome> checkpoint(Job& job, const Request& request) {
  Round round(job, request);
  CAIRN_TRY(round.check_members());
  CAIRN_TRY(round.freeze());
  CAIRN_TRY(round.connect());
  CAIRN_TRY(round.begin());
  CAIRN_TRY(round.capture());
  CAIRN_TRY(round.check_deadline("capture"));
  CAIRN_TRY(round.memory());
  CAIRN_TRY(round.records());
  CAIRN_TRY(round.check_deadline("memory"));
  CAIRN_TRY(round.sync());
  CAIRN_TRY(round.check_deadline("sync"));
  CAIRN_TRY(round.commit());
  CAIRN_TRY(round.thaw());
  if (job.journal != nullptr && !request.kill)
    CAIRN_TRY(job.journal->check_taken_over(request.processes));
  set_log_generation(0);
  return std::move(round.outcome);
}

}  // namespace cairn::checkpoint
