// Steps, and what holds after each:
//
//   freeze     no thread of the job runs guest code or is inside the kernel for the guest; nobody
//   is
//              born or ends; every process can be saved by this Cairn
//   drain      no data is on its way between processes of the job
//   capture    kernel objects, threads and the memory map are in records
//   memory     the pages are read, and the records say where they are stored
//   sync       records and pages are on disk, checksummed, under a name that no reader looks at
//   commit     the generation exists
//   thaw       the job runs on, or is ended if that was asked for
//
// A failure anywhere removes what was written and thaws: the destructors of Round do both, in the
// reverse order of the steps. Where a disk does not answer at all, give_up() thaws from another
// thread.

#include "checkpoint/checkpoint.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>

#include "base/fault.h"
#include "base/files.h"
#include "base/futex.h"
#include "base/log.h"
#include "checkpoint/ended.h"
#include "checkpoint/freeze.h"
#include "checkpoint/freeze_job.h"
#include "checkpoint/hide_secrets.h"
#include "checkpoint/overdue.h"
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
constexpr milliseconds kChooseTimeout{1'000};  // the connection is waited for in any case
// Whoever can be told of the deadline has ended by then.
constexpr milliseconds kOverdue{2'000};

std::uint32_t as_number(image::RecordKind kind) {
  return static_cast<std::uint32_t>(kind);
}

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
  Freeze* freeze;
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

  Result<> freeze();
  Result<> connect();
  Result<> begin();
  Result<> capture();
  Result<> stops();
  Result<> tree();
  Result<> memory();
  Result<> records();
  Result<> sync();
  Result<> commit();
  Result<> thaw();
  Result<> check_journal();

  Outcome outcome;

 private:
  [[nodiscard]] std::vector<abi::ProcessSlot*> running() const;
  [[nodiscard]] bool anybody_defers() const;
  [[nodiscard]] Result<> wait_undeferred() const;
  [[nodiscard]] std::vector<std::string> secrets_in(const resources::ContentPlan& content) const;
  Result<> freeze_once();
  Result<> enter(FaultPoint step, const char* phase);
  [[nodiscard]] Result<> check_deadline() const;
  [[nodiscard]] Error late(const char* why) const;
  Result<> last_moment();
  void give_up();
  void show(std::uint64_t done = 0, std::uint64_t total = 0) const {
    if (request_.progress) request_.progress(phase_.load(), done, total);
  }

  Job& job_;
  const Request& request_;
  const Deadline deadline_;
  const Clock::time_point started_ = Clock::now();
  std::optional<JobFreeze> freeze_;
  std::vector<Member> members_;
  std::vector<const abi::ProcessSlot*> frozen_;  // theirs, also after the thaw
  resources::JobCapture capture_;                // reads from the members
  std::vector<EndedProcess> ended_;
  std::unique_ptr<storage::GenerationWriter> writer_;
  std::uint64_t number_ = 0;
  std::vector<storage::NodeSummary> summaries_;
  std::vector<resources::FileKey> files_in_image_;  // with their content
  bool committed_ = false;
  std::atomic<const char*> phase_ = "freeze";
  std::atomic<bool> given_up_ = false;
  std::mutex rescue_;  // members_ and freeze_ stay what they are while it is held
  std::optional<Overdue> overdue_;
};

Round::~Round() {
  writer_.reset();
  if (number_ != 0 && !committed_)
    if (const auto aborted = job_.store.abort(number_); !aborted)
      log_error("abort", "reason={}", log_value(aborted.error().message()));
  if (const auto thawed = thaw(); !thawed)
    log_error("thaw", "reason={}", log_value(thawed.error().message()));
}

// Those whose process lives, as far as one can tell.
std::vector<abi::ProcessSlot*> Round::running() const {
  std::vector<abi::ProcessSlot*> found;
  const std::uint32_t used = std::min(job_.segment.slots_used.load(), abi::kMaxProcesses);
  for (std::uint32_t i = 0; i < used; ++i)
    if (job_.segment.slots[i].state.load() == static_cast<std::uint32_t>(abi::SlotState::kRunning))
      found.push_back(&job_.segment.slots[i]);
  return found;
}

// A thread inside of a section that must not be cut (abi/api.h).
bool Round::anybody_defers() const {
  const auto slots = running();
  return std::any_of(slots.begin(), slots.end(),
                     [](const abi::ProcessSlot* slot) { return slot->deferred.load() != 0; });
}

Result<> Round::wait_undeferred() const {
  constexpr milliseconds kLook{100};  // its process may end
  for (abi::ProcessSlot* slot : running())
    while (const std::uint32_t count = slot->deferred.load()) {
      if (deadline_.passed())
        return failure(ETIMEDOUT, "wait: process " + std::to_string(slot->real_pid.load()) +
                                      " puts checkpoints off (cairn_defer)");
      if (::kill(slot->real_pid.load(), 0) != 0 && errno == ESRCH) break;
      futex_wait(slot->deferred, count,
                 std::min<std::chrono::nanoseconds>(deadline_.left(), kLook));
    }
  return {};
}

// A step begins, and there is time for it.
Result<> Round::enter(FaultPoint step, const char* phase) {
  phase_ = phase;
  show();
  CAIRN_TRY(fault_step(step, phase));
  return check_deadline();
}

Error Round::late(const char* why) const {
  return Error{
      ETIMEDOUT, std::string("finish the checkpoint in time (") + phase_.load() + why + ")", {}};
}

Result<> Round::check_deadline() const {
  if (!deadline_.passed() && !given_up_) return {};
  return Failure(late(""));
}

// Once the job runs on because of give_up(), the generation must not come to exist: at the latest
// here.
Result<> Round::last_moment() {
  const std::lock_guard lock(rescue_);
  return check_deadline();
}

// In the thread of overdue_. A rename that hangs may still be done later: then all that the
// generation holds was there before, and it is as good as any.
void Round::give_up() {
  {
    const std::lock_guard lock(rescue_);
    given_up_ = true;
    if (freeze_) freeze_->let_newborns_run();
    for (Member& member : members_) {
      member.freeze->let_stop();
      if (member.remote) member.remote->hang_up();
      member.freeze->release();
    }
  }
  if (request_.given_up)
    request_.given_up(late(", which waits for something that does not answer"));
}

Result<> Round::freeze() {
  const Deadline overdue(std::chrono::ceil<milliseconds>(deadline_.left()) + kOverdue);
  overdue_.emplace(overdue, [this] { give_up(); });
  for (;;) {
    CAIRN_TRY(wait_undeferred());
    CAIRN_TRY(freeze_once());
    if (!anybody_defers()) break;
    // It began before the freeze had reached it.
    const std::lock_guard lock(rescue_);
    members_.clear();
    frozen_.clear();
    freeze_.reset();
    outcome.threads = 0;
  }
  return {};
}

Result<> Round::freeze_once() {
  CAIRN_TRY(enter(FaultPoint::kStepFreeze, "freeze"));
  Stopwatch watch;
  const Deadline limit(std::min(request_.freeze_timeout, request_.timeout));
  job_.freeze_word = next_freeze_word(job_.freeze_word);
  {
    const std::lock_guard lock(rescue_);
    freeze_.emplace(job_.segment, kernel_task_control(), job_.freeze_word);
  }
  CAIRN_TRY(freeze_->freeze(limit));
  const std::lock_guard lock(rescue_);
  for (const auto& member : freeze_->members()) {
    job_.connections.forget(member->pid());
    members_.push_back({member.get(), std::nullopt});
    frozen_.push_back(&member->slot());
    outcome.threads += member->threads();
  }
  outcome.processes = static_cast<std::uint32_t>(members_.size());
  outcome.phases.freeze = watch.lap();
  return {};
}

Result<> Round::connect() {
  CAIRN_TRY(enter(FaultPoint::kStepConnect, "connect"));
  for (Member& member : members_) {
    member.freeze->choose_server();
    member.freeze->wait_chosen(Deadline{kChooseTimeout});
    CAIRN_ASSIGN(Fd link, job_.connections.wait_for(member.freeze->pid(), Deadline{kThawTimeout}));
    CAIRN_ASSIGN(auto remote, resources::RemoteProcess::open(std::move(link)));
    {
      const std::lock_guard lock(rescue_);
      member.remote.emplace(std::move(remote));
    }
    const abi::LinkHello& hello = member.remote->hello();
    if (hello.purpose != abi::LinkPurpose::kCapture || hello.freeze_word != member.freeze->word())
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
  CAIRN_TRY(enter(FaultPoint::kStepCapture, "capture"));
  Stopwatch watch;
  resources::CaptureOptions options;
  options.files = request_.files;
  options.cpu = job_.segment.cpu;
  options.sysv = &job_.segment.sysv;
  options.notices = &job_.segment.notices;
  options.ptys = &job_.segment.ptys;
  std::vector<resources::RemoteProcess*> processes;
  std::vector<ParentProcess> parents;
  for (Member& member : members_) {
    processes.push_back(&*member.remote);
    parents.push_back({&*member.remote, member.freeze->threads_by_id()});
  }
  CAIRN_ASSIGN(ended_, capture_ended(parents, job_.segment.ids));
  std::map<std::int32_t, std::int32_t> ended;
  for (const auto& [pid, process] : ended_) ended[pid.value] = process.pid();
  options.ended = &ended;
  CAIRN_ASSIGN(capture_, resources::capture_job(processes, options));
  CAIRN_TRY(stops());
  for (image::ProcessImage& process : capture_.processes)
    process.mutable_runtime()->set_mode(job_.mode);
  outcome.phases.capture = watch.lap();
  return {};
}

// Who is stopped, and what of it wait() has not told its parent. (The first process' parent is none of
// the job, and sees the stop anew.)
Result<> Round::stops() {
  std::map<std::int32_t, std::vector<std::size_t>> children;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    image::ProcessImage& process = capture_.processes[i];
    children[process.ppid()].push_back(i);
    if (const int signal = members_[i].freeze->stop_signal(); signal != 0) {
      process.set_stop_signal(signal);
      process.set_stop_waited_for(true);
    }
  }
  for (std::size_t k = 0; k < members_.size(); ++k) {
    const auto of_parent = children.find(capture_.processes[k].pid());
    if (of_parent == children.end()) continue;
    resources::RemoteProcess& parent = *members_[k].remote;
    CAIRN_ASSIGN(const Untold any, untold(parent, 0));
    if (any.stop_signal == 0 && !any.continued) continue;
    for (const std::size_t i : of_parent->second) {
      CAIRN_ASSIGN(const Untold one, untold(parent, members_[i].freeze->pid().value));
      image::ProcessImage& process = capture_.processes[i];
      if (one.continued) process.set_continued(true);
      if (one.stop_signal == 0 || !process.has_stop_signal()) continue;
      process.set_stop_signal(one.stop_signal);
      process.set_stop_waited_for(false);
    }
  }
  return {};
}

// Who is whose child: processes that have ended take part. What cannot be made again is refused
// now.
Result<> Round::tree() {
  std::vector<image::ProcessImage> places;
  for (const EndedProcess& process : ended_) places.push_back(process.image);
  std::set<std::int32_t> inside;
  for (const image::ProcessImage& process : capture_.processes) inside.insert(process.pid());
  for (std::size_t i = 0; i < members_.size(); ++i) {
    image::ProcessImage& process = capture_.processes[i];
    process.set_exit_signal(exit_signal_of(members_[i].freeze->pid()));
    if (members_[i].freeze->pid() == job_.first) process.set_first_of_job(true);
    if (!inside.contains(process.ppid())) process.set_ppid(0);
    image::ProcessImage& place = places.emplace_back();
    place.set_pid(process.pid());
    place.set_ppid(process.ppid());
    place.set_pgid(process.pgid());
    place.set_sid(process.sid());
    place.set_first_of_job(process.first_of_job());
  }
  CAIRN_TRY(resources::plan_tree(places, job_.origin));
  return {};
}

// What is in memory; a file's content is the program's doing.
std::vector<std::string> Round::secrets_in(const resources::ContentPlan& content) const {
  std::vector<std::string> values;
  for (const image::KernelObject& object : capture_.objects)
    if (object.id() == content.object_id && object.has_regular_file()) return values;
  for (const auto& [name, value] : request_.secrets) values.push_back(value);
  return values;
}

Result<> Round::memory() {
  CAIRN_TRY(enter(FaultPoint::kStepMemory, "memory"));
  Stopwatch watch;
  std::uint64_t total = 0;
  std::uint64_t done = 0;
  for (const resources::ContentPlan& content : capture_.contents) total += content_bytes(content);
  const auto progress = [&](std::uint64_t bytes) {
    show(done += bytes, total);
    return check_deadline();
  };
  for (const resources::ContentPlan& content : capture_.contents) {
    CAIRN_ASSIGN(const storage::PageDataRef pages,
                 save_content(content, secrets_in(content), *writer_, progress));
    resources::set_content(capture_, content, pages);
  }
  capture_.contents.clear();
  outcome.phases.memory = watch.lap();
  return {};
}

// Only now are the records whole: they say where the pages are.
Result<> Round::records() {
  CAIRN_TRY(enter(FaultPoint::kStepRecords, "records"));
  for (image::KernelObject& object : capture_.objects) {
    if (object.regular_file().rule() == image::FILE_RULE_CONTENT)
      files_in_image_.emplace_back(object.regular_file().file().device(),
                                   object.regular_file().file().inode());
    const std::uint64_t id = object.id();
    CAIRN_ASSIGN(const std::string bytes, image::encode(std::move(object)));
    CAIRN_TRY(writer_->add_record(as_number(image::RecordKind::kObject), id, bytes));
  }
  std::vector<std::string> secrets;
  for (const auto& [name, value] : request_.secrets) secrets.push_back(value);
  const auto add = [this](image::ProcessImage& process) -> Result<> {
    const auto id = static_cast<std::uint64_t>(process.pid());
    CAIRN_ASSIGN(const std::string bytes, image::encode(std::move(process)));
    return writer_->add_record(as_number(image::RecordKind::kProcess), id, bytes);
  };
  for (image::ProcessImage& process : capture_.processes) {
    for (image::Thread& thread : *process.mutable_threads()) {
      hide_secret_parts(secrets, *thread.mutable_registers());
      hide_secret_parts(secrets, *thread.mutable_xsave());
    }
    CAIRN_TRY(add(process));
  }
  for (auto& [pid, process] : ended_) CAIRN_TRY(add(process));
  return {};
}

Result<> Round::sync() {
  CAIRN_TRY(enter(FaultPoint::kStepSync, "sync"));
  Stopwatch watch;
  CAIRN_ASSIGN(storage::NodeSummary summary, writer_->finish());
  writer_.reset();
  summaries_.push_back(std::move(summary));
  outcome.phases.sync = watch.lap();
  return {};
}

Result<> Round::commit() {
  CAIRN_TRY(enter(FaultPoint::kStepCommit, "commit"));
  Stopwatch watch;
  // Before the commit, so that no moment is without a journal; one that is begun in vain costs
  // nothing.
  resources::JournalPositions journals;
  if (job_.journal != nullptr) {
    CAIRN_ASSIGN(journals, job_.journal->begin(files_in_image_));
  }
  std::vector<std::string> secrets;
  for (const auto& [name, value] : request_.secrets) secrets.push_back(name);
  const nlohmann::json info{{"name", job_.name},
                            {"secrets", secrets},
                            {"processes", outcome.processes},
                            {"threads", outcome.threads},
                            {"mode", job_.mode},
                            {"journals", resources::positions_to_text(journals)},
                            {"origin_session", job_.origin.session},
                            {"origin_group", job_.origin.group}};
  CAIRN_ASSIGN(outcome.generation, job_.store.commit(number_, summaries_, info.dump(),
                                                     [this] { return last_moment(); }));
  committed_ = true;
  // Before the thaw: nothing of the job may happen after the generation that ends it.
  if (request_.kill) overdue_->call_off();
  const bool kill = request_.kill && !given_up_;
  if (kill)
    for (const Member& member : members_) ::kill(member.freeze->pid().value, SIGKILL);
  if (kill)
    for (const Member& member : members_)
      if (!wait_for_process_end(member.freeze->pid().value, 0, Deadline{kThawTimeout}))
        log_warning("a killed process has not ended", "process={}", member.freeze->pid().value);
  outcome.phases.commit = watch.lap();
  return {};
}

Result<> Round::thaw() {
  if (!members_.empty() && committed_) {
    phase_ = "thaw";
    CAIRN_TRY(fault_step(FaultPoint::kStepThaw, "thaw"));
  }
  overdue_.reset();
  Result<> first;
  const bool killed = committed_ && request_.kill;
  capture_.deaf.hear_again();
  if (freeze_) freeze_->let_newborns_run();
  const auto thaw_one = [&](Member& member) {
    member.freeze->let_stop();
    if (member.remote && !killed && !given_up_) {
      const auto thawed = member.remote->thaw();
      // Those that run already may have killed it: then it has gone on as it would have.
      if (!thawed && !wait_for_process_end(member.freeze->pid().value, 0, Deadline{kThawTimeout}))
        first = thawed;
    }
    member.remote.reset();
    member.freeze->release();
  };
  // First who is stopped, so that nobody finds it otherwise.
  const auto others = std::stable_partition(members_.begin(), members_.end(), [](Member& member) {
    return member.freeze->had_stopped();
  });
  std::for_each(members_.begin(), others, thaw_one);
  if (freeze_) freeze_->wait_stopped();
  std::for_each(others, members_.end(), thaw_one);
  if (!members_.empty())
    outcome.phases.frozen = std::chrono::duration_cast<microseconds>(Clock::now() - started_);
  members_.clear();
  freeze_.reset();
  return first;
}

// Whoever runs on writes what it does to files into the journal that begins with this generation.
Result<> Round::check_journal() {
  if (job_.journal == nullptr || request_.kill || given_up_) return {};
  return job_.journal->check_taken_over(frozen_);
}

Result<Outcome> checkpoint_once(Job& job, const Request& request) {
  Round round(job, request);
  CAIRN_TRY(round.freeze());
  CAIRN_TRY(round.connect());
  CAIRN_TRY(round.begin());
  CAIRN_TRY(round.capture());
  CAIRN_TRY(round.tree());
  CAIRN_TRY(round.memory());
  CAIRN_TRY(round.records());
  CAIRN_TRY(round.sync());
  CAIRN_TRY(round.commit());
  CAIRN_TRY(round.thaw());
  CAIRN_TRY(round.check_journal());
  set_log_generation(0);
  return std::move(round.outcome);
}

}  // namespace

// What stands in the way for a moment only, such as a connection that the next accept() takes, is
// left to the program to end: it runs on for a while, longer each time.
Result<Outcome> checkpoint(Job& job, const Request& request) {
  constexpr milliseconds kFirstPause{2}, kPatience{2'000};
  const Deadline deadline(request.timeout), patience(kPatience);
  Request now = request;
  for (milliseconds pause = kFirstPause;; pause = pause * 3 / 2) {
    auto done = checkpoint_once(job, now);
    now.timeout = std::chrono::duration_cast<milliseconds>(deadline.left()) - pause;
    const bool again = !done && done.error().code == EAGAIN && !patience.passed();
    if (!again || now.timeout <= milliseconds(0)) return done;
    log_info("checkpoint again", "reason={}", log_value(done.error().message()));
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace cairn::checkpoint
