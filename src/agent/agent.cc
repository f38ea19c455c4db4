#include "agent/agent.h"

#include <signal.h>

#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <thread>

#include "abi/boot.h"
#include "agent/job_watch.h"
#include "agent/plan_service.h"
#include "agent/requests.h"
#include "agent/segment_file.h"
#include "base/files.h"
#include "base/futex.h"
#include "base/log.h"
#include "base/poll_loop.h"
#include "base/unix_socket.h"
#include "checkpoint/checkpoint.h"
#include "resources/cpu_view.h"
#include "storage/store.h"

namespace cairn::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kStartTimeout{30'000};
constexpr milliseconds kClientTimeout{2'000};
// A child claims its slot itself: between its parent's end and that moment nobody seems to live.
constexpr milliseconds kLastLook{250};
constexpr milliseconds kRefresh{2'000};
constexpr milliseconds kSlotRound{5};

std::int64_t realtime_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// One checkpoint to make, or generations to remove, and whom to tell.
struct Order {
  CheckpointRequest request;
  unsigned prune_keep = 0;          // not 0: nothing but that
  std::optional<JsonLines> client;  // none for those by the clock
};

class Agent {
 public:
  explicit Agent(AgentSettings settings) : settings_(std::move(settings)) {}
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  Result<> make_segment();
  Result<> start();
  Result<> serve();
  [[nodiscard]] std::string segment_path() const { return settings_.job.segment(); }

 private:
  Result<> own_store();
  void connection();
  void identify(int fd);
  void request(JsonLines client);
  [[nodiscard]] Json status();
  std::vector<abi::ProcessSlot*> wait_for_processes(const Deadline& deadline);
  void enqueue(Order order);
  void work(const std::stop_token& stop);
  void make_checkpoint(Order order);
  void prune(Order order);
  Result<> prune_journals();
  void restart_job();
  void superseded();
  void process_ended(RealPid pid);
  void end_if_empty();

  AgentSettings settings_;
  std::unique_ptr<storage::Store> store_;
  storage::OwnerRecord owner_;
  std::unique_ptr<restart::Plan> plan_;  // until the restart is done
  std::optional<SegmentFile> segment_;
  std::optional<resources::FileJournal> journal_;  // none with --files=none
  Fd listener_;
  std::optional<PollLoop> loop_;
  std::optional<JobWatch> watch_;
  std::optional<PlanService> plans_;
  ConnectionQueue links_;
  std::map<int, Peer> unidentified_;
  std::uint32_t freeze_word_ = 0;
  bool ending_ = false;

  std::mutex orders_mutex_;
  std::condition_variable_any orders_changed_;
  std::deque<Order> orders_;
  bool busy_ = false;
  Json last_checkpoint_;
  std::jthread worker_;
};

Agent::~Agent() {
  if (worker_.joinable()) {
    worker_.request_stop();
    worker_.join();
  }
  plans_.reset();
  watch_.reset();
  remove_run_directory(settings_.job);
}

Result<> Agent::own_store() {
  const JobEntry& job = settings_.job;
  CAIRN_ASSIGN(store_, storage::Store::open(job.directory, {.create = true}));
  storage::OwnerRecord wanted;
  wanted.job_id = job.job_id;
  wanted.coordinator_address = job.socket();
  wanted.fill_in_self();
  CAIRN_ASSIGN(owner_, store_->take_ownership(wanted, storage::Takeover::kIfNotAlive));
  settings_.job.incarnation = owner_.incarnation;
  return open_log(std::filesystem::path(job.directory) / "agent.log", {job.job_id, 0});
}

// First of all, since the program may be waiting for it while it is loaded.
Result<> Agent::make_segment() {
  JobEntry& job = settings_.job;
  job.agent_pid = ::getpid();
  CAIRN_TRY(make_run_directory(job));
  auto segment = SegmentFile::create(job.segment(), {.socket = job.socket(),
                                                     .job_name = job.name,
                                                     .runtime_path = settings_.runtime,
                                                     .plan_cache = settings_.plan_cache,
                                                     .mode = settings_.mode});
  if (!segment) return Failure(segment.error());
  segment_.emplace(std::move(*segment));
  CAIRN_ASSIGN((*segment_)->cpu, resources::make_cpu_view(settings_.cpu_level));
  return {};
}

Result<> Agent::start() {
  JobEntry& job = settings_.job;
  CAIRN_ASSIGN(listener_, listen_unix(job.socket()));
  CAIRN_TRY(own_store());
  // Read here and not before the fork: the plan holds descriptors of the store's files.
  if (settings_.restart_from != 0) {
    CAIRN_ASSIGN(auto plan, restart::read(job.directory, settings_.restart_from));
    plan_ = std::make_unique<restart::Plan>(std::move(plan));
    (*segment_)->cpu = resources::cpu_view_of(plan_->records.processes.front().machine());
  }
  if (settings_.files != resources::FilePolicy::kNone) {
    journal_.emplace(job.directory, **segment_);
    // What the job does from the restart on is written down from its first instruction.
    if (plan_) CAIRN_TRY(journal_->begin({}));
  }
  job.agent_start_time = owner_.start_time;
  job.started_ns = realtime_ns();

  CAIRN_ASSIGN(PollLoop loop, PollLoop::create());
  loop_.emplace(std::move(loop));
  watch_.emplace(*loop_, *segment_, [this](RealPid pid) { process_ended(pid); });
  CAIRN_TRY(watch_->watch(RealPid{job.first_pid}));
  loop_->on_readable(listener_.get(), [this] { connection(); });
  loop_->every(kRefresh, [this] { watch_->refresh(); });
  loop_->every(settings_.interval, [this] { enqueue({}); });
  return publish(job);
}

Result<> Agent::serve() {
  log_info("agent started", "name={} program={} incarnation={}", log_value(settings_.job.name),
           settings_.job.first_pid, settings_.job.incarnation);
  if (!settings_.planner.empty()) plans_.emplace(**segment_, settings_.planner);
  worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
  auto ran = loop_->run();
  log_info("job ended");
  return ran;
}

void Agent::connection() {
  auto peer = accept_unix(listener_.get());
  if (!peer) {
    log_warning("connection refused", "reason={}", log_value(peer.error().message()));
    return;
  }
  const int fd = peer->socket.get();
  unidentified_[fd] = std::move(*peer);
  loop_->on_readable(fd, [this, fd] { identify(fd); });
}

// The first bytes tell a process of the job (Hello) from the command line (JSON).
void Agent::identify(int fd) {
  loop_->forget(fd);
  Peer peer = std::move(unidentified_[fd]);
  unidentified_.erase(fd);
  const auto first = peek(fd, 1, Deadline{milliseconds(0)});
  if (!first) return;
  if (first->front() == '{') return request(JsonLines(std::move(peer.socket)));
  links_.deliver(RealPid{peer.pid}, std::move(peer.socket));
}

void Agent::request(JsonLines client) {
  const auto message = client.receive(Deadline{kClientTimeout});
  if (!message) return;
  const std::string verb = message->value("request", "");
  if (verb == "status") {
    (void)client.send(status());
  } else if (verb == "checkpoint") {
    enqueue({parse_checkpoint_request(*message), 0, std::move(client)});
  } else if (const unsigned keep = parse_prune_request(*message); verb == "prune" && keep != 0) {
    enqueue({{}, keep, std::move(client)});
  } else {
    (void)client.send(failure_answer(Error{0, "the agent does not know this request", verb}));
  }
}

Json Agent::status() {
  watch_->refresh();
  Json processes = Json::array();
  for (const abi::ProcessSlot* slot : live_slots(*segment_))
    processes.push_back(describe_process(*slot));
  Json generations = Json::array();
  if (const auto known = store_->generations())
    for (const storage::GenerationInfo& generation : *known)
      generations.push_back(generation.number);
  const std::lock_guard lock(orders_mutex_);
  return {{"event", "result"},
          {"ok", true},
          {"job", settings_.job.job_id},
          {"name", settings_.job.name},
          {"directory", settings_.job.directory},
          {"incarnation", settings_.job.incarnation},
          {"agent_pid", ::getpid()},
          {"pid", settings_.job.first_pid},
          {"started_ns", settings_.job.started_ns},
          {"mode", mode_name(settings_.mode)},
          {"interval_ms", settings_.interval.count()},
          {"checkpointing", busy_},
          {"running", watch_->anybody_lives()},
          {"processes", processes},
          {"generations", generations},
          {"last_checkpoint", last_checkpoint_}};
}

// The program's first process claims its slot a moment after the agent is ready.
std::vector<abi::ProcessSlot*> Agent::wait_for_processes(const Deadline& deadline) {
  for (;;) {
    const std::uint32_t used = (*segment_)->slots_used.load();
    std::vector<abi::ProcessSlot*> live = live_slots(*segment_);
    const bool starting = process_start_time(settings_.job.first_pid) != 0;
    if (!live.empty() || !starting || deadline.passed()) return live;
    futex_wait((*segment_)->slots_used, used, kSlotRound);
  }
}

void Agent::enqueue(Order order) {
  const std::lock_guard lock(orders_mutex_);
  // One by the clock is not made up for when there is one on its way already.
  if (!order.client && (busy_ || !orders_.empty())) return;
  orders_.push_back(std::move(order));
  orders_changed_.notify_all();
}

// The worker: a restart first if this is one, then checkpoints one after another.
void Agent::work(const std::stop_token& stop) {
  if (plan_) restart_job();
  std::unique_lock lock(orders_mutex_);
  while (orders_changed_.wait(lock, stop, [this] { return !orders_.empty(); })) {
    Order order = std::move(orders_.front());
    orders_.pop_front();
    busy_ = true;
    lock.unlock();
    order.prune_keep != 0 ? prune(std::move(order)) : make_checkpoint(std::move(order));
    lock.lock();
    busy_ = false;
  }
}

void Agent::make_checkpoint(Order order) {
  // A client that went away does not stop what it asked for.
  const auto tell = [&order](const Json& message) {
    if (order.client && !order.client->send(message)) order.client.reset();
  };
  checkpoint::Job job{*store_,
                      links_,
                      freeze_word_,
                      journal_ ? &*journal_ : nullptr,
                      settings_.job.name,
                      mode_name(settings_.mode),
                      (*segment_)->sysv,
                      (*segment_)->cpu};
  checkpoint::Request request;
  request.processes = wait_for_processes(Deadline{order.request.freeze_timeout});
  request.timeout = order.request.timeout;
  request.freeze_timeout = order.request.freeze_timeout;
  request.files = settings_.files;
  request.kill = order.request.kill;
  ProgressFilter filter;
  request.progress = [&](std::string_view phase, std::uint64_t done, std::uint64_t total) {
    if (filter.worth_telling(phase, done, total)) tell(progress_message(phase, done, total));
  };
  const auto outcome = checkpoint::checkpoint(job, request);
  set_log_generation(0);
  Json answer = outcome ? checkpoint_answer(*outcome) : failure_answer(outcome.error());
  if (outcome) {
    log_info("checkpoint committed", "{}", checkpoint_log_fields(*outcome));
    if (settings_.keep != 0)
      if (const auto kept = store_->retain(settings_.keep); !kept)
        log_error("remove old generations", "reason={}", log_value(kept.error().message()));
    if (const auto pruned = prune_journals(); !pruned)
      log_error("remove old journals", "reason={}", log_value(pruned.error().message()));
  } else {
    log_error("checkpoint failed", "reason={}", log_value(outcome.error().message()));
    answer["job_goes_on"] = !live_slots(*segment_).empty();
  }
  {
    const std::lock_guard lock(orders_mutex_);
    last_checkpoint_ = answer;
  }
  tell(answer);
  if (!outcome && outcome.error().code == storage::kSuperseded) superseded();
}

void Agent::prune(Order order) {
  const auto report = store_->retain(order.prune_keep);
  if (!report) log_error("remove old generations", "reason={}", log_value(report.error().message()));
  if (order.client)
    (void)order.client->send(report ? prune_answer(*report) : failure_answer(report.error()));
}

Result<> Agent::prune_journals() {
  if (!journal_) return {};
  CAIRN_ASSIGN(const auto generations, store_->generations());
  std::vector<resources::JournalPositions> needed;
  for (const storage::GenerationInfo& generation : generations)
    needed.push_back(restart::journals_of(generation));
  return journal_->prune(needed);
}

// Another incarnation of this job runs somewhere: this one must not go on beside it.
void Agent::superseded() {
  log_event(LogLevel::kError, "superseded by a newer incarnation: ending this one");
  for (const abi::ProcessSlot* slot : live_slots(*segment_))
    ::kill(slot->real_pid.load(), SIGKILL);
}

void Agent::restart_job() {
  const RealPid pid{settings_.job.first_pid};
  std::array<int, 3> stdio;
  for (std::size_t i = 0; i < stdio.size(); ++i) stdio[i] = settings_.stdio[i].get();
  const bool bring_back = settings_.files != resources::FilePolicy::kNone;
  const auto done = restart::restart(*plan_, links_, pid, (*segment_)->sysv, stdio, bring_back,
                                     journal_ ? journal_->number() : 0);
  if (done) {
    log_info("restarted", "{}", restart_log_fields(*plan_, *done));
  } else {
    log_error("restart failed", "reason={}", log_value(done.error().message()));
  }
  plan_.reset();
  // From here on the terminal or pipe is the program's alone.
  for (Fd& fd : settings_.stdio) fd.reset();
}

void Agent::process_ended(RealPid pid) {
  links_.gone(pid);
  end_if_empty();
}

void Agent::end_if_empty() {
  if (!watch_->empty() || ending_) return;
  ending_ = true;
  loop_->after(kLastLook, [this] {
    watch_->refresh();
    ending_ = watch_->empty();
    if (ending_) loop_->stop();
  });
}

std::string title(const AgentSettings& settings) { return "cairn agent " + settings.job.name; }

struct Start {
  AgentSettings settings;
  Explain explain;  // none: for start_agent
};

void agent_main(void* context, ReadyReport report) {
  auto* start = static_cast<Start*>(context);
  const Explain explain = std::move(start->explain);
  Agent agent(std::move(start->settings));
  auto started = agent.make_segment();
  if (started && explain) report.send({abi::kSegmentThere});
  if (started) started = agent.start();
  if (!started) {
    log_error("start failed", "reason={}", log_value(started.error().message()));
    return explain ? report.end(explain(started.error())) : report.failed(started.error());
  }
  explain ? report.end({abi::kAgentReady}) : report.ready(agent.segment_path());
  if (const auto served = agent.serve(); !served)
    log_error("agent failed", "reason={}", log_value(served.error().message()));
}

}  // namespace

std::string mode_name(abi::DoorMode mode) {
  switch (mode) {
    case abi::DoorMode::kAuto: return "auto";
    case abi::DoorMode::kDispatch: return "dispatch";
    case abi::DoorMode::kSeccomp: return "seccomp";
    case abi::DoorMode::kPatchOnly: return "patch";
  }
  return "unknown";
}

Result<std::string> start_agent(AgentSettings settings) {
  std::vector<int> keep;
  for (const Fd& fd : settings.stdio)
    if (fd.valid()) keep.push_back(fd.get());
  Start start{std::move(settings), nullptr};
  return start_daemon(title(start.settings), keep, Deadline{kStartTimeout}, agent_main, &start);
}

Result<LaunchedAgent> launch_agent(AgentSettings settings, Explain explain) {
  LaunchedAgent launched{run_directory_of(settings.job) / "segment", {}};
  Start start{std::move(settings), std::move(explain)};
  CAIRN_ASSIGN(launched.report, launch_daemon(title(start.settings), {}, agent_main, &start));
  return launched;
}

}  // namespace cairn::agent
