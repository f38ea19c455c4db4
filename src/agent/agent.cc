#include "agent/agent.h"

#include <signal.h>

#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <sstream>
#include <thread>

#include "abi/boot.h"
#include "agent/api_service.h"
#include "agent/job_watch.h"
#include "agent/member_files.h"
#include "agent/plan_service.h"
#include "agent/requests.h"
#include "agent/station.h"
#include "base/daemon.h"
#include "base/files.h"
#include "base/futex.h"
#include "base/log.h"
#include "base/poll_loop.h"
#include "base/unix_socket.h"
#include "checkpoint/checkpoint.h"
#include "resources/machine.h"
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
// For a worker that may wait for a disk or file server for ever, once the job has ended.
constexpr milliseconds kWorkerEnd{2'000};

// Names and values of --secret-env: as a restart was given them, or from our own environment.
std::vector<std::pair<std::string, std::string>> secret_values(const AgentSettings& settings) {
  std::vector<std::pair<std::string, std::string>> values;
  std::istringstream names(settings.secrets);
  for (std::string name; std::getline(names, name);) {
    const char* own = std::getenv(name.c_str());
    std::string value = own == nullptr ? "" : own;
    for (const auto& variable : settings.environment)
      if (variable.name == name && variable.value) value = *variable.value;
    values.emplace_back(name, value);
  }
  return values;
}

// What a program that asked is told; a refusal has no errno of the kernel's.
int result_code(const Result<checkpoint::Outcome>& outcome) {
  if (outcome) return 0;
  return outcome.error().code != 0 ? outcome.error().code : EOPNOTSUPP;
}

// One checkpoint to make, or generations to remove, and whom to tell.
struct Order {
  CheckpointRequest request;
  unsigned prune_keep = 0;          // not 0: nothing but that
  std::optional<std::uint32_t> ticket = {};  // the program asked, up to this one (abi/api.h)
  std::optional<JsonLines> client;  // none for those by the clock
};

class Agent {
 public:
  explicit Agent(AgentSettings settings, Station station = {})
      : settings_(std::move(settings)), station_(std::move(station)) {}
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  Result<> start_restart();
  Result<> hold_station();
  Result<> serve();
  [[nodiscard]] std::string segment_path() const { return settings_.job.segment(); }

 private:
  [[nodiscard]] SegmentFile& segment() { return *station_.segment; }
  void connection();
  [[nodiscard]] std::optional<Peer> accept_member(int listener);
  void member_connection();
  void member_wants_file();
  void identify(int fd);
  void request(JsonLines client);
  [[nodiscard]] Json status();
  void wait_for_processes(const Deadline& deadline);
  void enqueue(Order order);
  void work(const std::stop_token& stop);
  void make_checkpoint(Order order);
  void finished(Order& order, const Result<checkpoint::Outcome>& outcome);
  void prune(Order order);
  Result<> prune_journals();
  void restart_job();
  void superseded();
  void process_ended(RealPid pid);
  void end_if_empty();
  void end_without_stuck_worker();

  AgentSettings settings_;
  Station station_;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<restart::Plan> plan_;  // until the restart is done
  resources::TreeOrigin origin_;
  std::optional<resources::FileJournal> journal_;  // none with --files=none
  std::optional<PollLoop> loop_;
  std::optional<JobWatch> watch_;
  std::optional<PlanService> plans_;
  std::optional<ApiService> api_;
  ConnectionQueue links_;
  std::map<int, Peer> unidentified_;
  Fd members_listener_;  // for processes of root's job that have become another user's
  std::uint32_t freeze_word_ = 0;
  bool ending_ = false;

  std::mutex orders_mutex_;
  std::condition_variable_any orders_changed_;
  std::deque<Order> orders_;
  bool busy_ = false;
  bool stuck_ = false;  // in a checkpoint that was given up
  bool restarting_ = false;
  bool worker_ended_ = false;
  Json last_checkpoint_;
  std::jthread worker_;
};

Agent::~Agent() {
  if (worker_.joinable()) {
    worker_.request_stop();
    end_without_stuck_worker();
    worker_.join();
  }
  api_.reset();
  plans_.reset();
  watch_.reset();
  remove_run_directory(settings_.job);
}

// Whoever waits for a disk that does not answer cannot be joined: the agent ends as if it was
// killed, which leaves nothing that a next owner would not clear up.
void Agent::end_without_stuck_worker() {
  std::unique_lock lock(orders_mutex_);
  if (!stuck_ && !restarting_) return;
  if (orders_changed_.wait_for(lock, kWorkerEnd, [this] { return worker_ended_; })) return;
  log_event(LogLevel::kError, "the store does not answer: ending without it");
  remove_run_directory(settings_.job);
  ::_exit(1);
}

Result<> Agent::start_restart() {
  CAIRN_TRY(make_segment(settings_, station_));
  CAIRN_TRY(claim_station(settings_, station_));
  // Read here and not before the fork: the plan holds descriptors of the store's files.
  CAIRN_ASSIGN(auto plan, restart::read(settings_.job.directory, settings_.restart_from));
  CAIRN_ASSIGN(auto moved, restart::PathMap::parse(settings_.moved));
  CAIRN_TRY(restart::move_files(plan, std::move(moved)));
  plan_ = std::make_unique<restart::Plan>(std::move(plan));
  origin_ = plan_->origin;
  segment()->cpu = resources::cpu_view_of(plan_->records.processes.front().machine());
  CAIRN_TRY(hold_station());
  CAIRN_TRY(store_->settle());
  return publish(settings_.job);
}

// The store as its owner, and the loop with all that it listens to.
Result<> Agent::hold_station() {
  const JobEntry& job = settings_.job;
  CAIRN_TRY(open_log(agent_log(job), {job.job_id, 0}));
  CAIRN_ASSIGN(store_, storage::Store::open(job.directory, {}));
  storage::OwnerRecord owner;
  owner.job_id = job.job_id;
  owner.incarnation = job.incarnation;
  store_->continue_ownership(owner);
  if (!plan_) origin_ = {::getsid(job.first_pid), ::getpgid(job.first_pid)};
  if (settings_.files != resources::FilePolicy::kNone) {
    journal_.emplace(job.directory, *segment());
    // What the job does from the restart on is written down from its first instruction.
    if (plan_) CAIRN_TRY(journal_->begin({}));
  }

  CAIRN_ASSIGN(PollLoop loop, PollLoop::create());
  loop_.emplace(std::move(loop));
  watch_.emplace(*loop_, segment(), [this](RealPid pid) { process_ended(pid); });
  watch_->watch(RealPid{job.first_pid}, std::move(station_.program));
  loop_->on_readable(station_.listener.get(), [this] { connection(); });
  if (::geteuid() == 0) {  // nobody else's processes can change their user
    CAIRN_ASSIGN(members_listener_, listen_abstract(job.socket()));
    loop_->on_readable(members_listener_.get(), [this] { member_connection(); });
    loop_->on_readable(station_.files.get(), [this] { member_wants_file(); });
  }
  loop_->every(kRefresh, [this] { watch_->refresh(); });
  loop_->every(settings_.interval, [this] { enqueue({}); });
  return {};
}

Result<> Agent::serve() {
  log_info("agent started", "name={} program={} incarnation={}", log_value(settings_.job.name),
           settings_.job.first_pid, settings_.job.incarnation);
  if (!settings_.planner.empty()) plans_.emplace(*segment(), settings_.planner);
  // Once more with each checkpoint that it fails for.
  if (const auto settled = store_->settle(); !settled)
    log_error("settle ownership", "reason={}", log_value(settled.error().message()));
  api_.emplace(segment()->api, [this](std::uint32_t ticket) {
    enqueue({.request = {}, .ticket = ticket, .client = {}});
  });
  restarting_ = plan_ != nullptr;
  worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
  auto ran = loop_->run();
  log_info("job ended");
  return ran;
}

void Agent::connection() {
  auto peer = accept_unix(station_.listener.get());
  if (!peer) {
    log_warning("connection refused", "reason={}", log_value(peer.error().message()));
    return;
  }
  const int fd = peer->socket.get();
  unidentified_[fd] = std::move(*peer);
  loop_->on_readable(fd, [this, fd] { identify(fd); });
}

// No byte is read before the peer is known as a process of the job. One that was made by vfork has
// its slot, but has not begun, when it execs.
std::optional<Peer> Agent::accept_member(int listener) {
  auto peer = accept_anybody(listener);
  if (!peer) return {};
  if (is_member(segment(), RealPid{peer->pid})) return std::move(*peer);
  log_warning("connection refused", "reason={}", log_value("it is no process of the job"));
  return {};
}

void Agent::member_connection() {
  if (auto peer = accept_member(members_listener_.get()))
    links_.deliver(RealPid{peer->pid}, std::move(peer->socket));
}

void Agent::member_wants_file() {
  const auto peer = accept_member(station_.files.get());
  if (!peer) return;
  if (const auto given = give_file(peer->socket.get(), segment_path(), *segment()); !given)
    log_warning("give a file to a process of another user", "process={} reason={}", peer->pid,
                log_value(given.error().message()));
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
    enqueue({.request = parse_checkpoint_request(*message), .client = std::move(client)});
  } else if (const unsigned keep = parse_prune_request(*message); verb == "prune" && keep != 0) {
    enqueue({.request = {}, .prune_keep = keep, .client = std::move(client)});
  } else {
    (void)client.send(failure_answer(Error{0, "the agent does not know this request", verb}));
  }
}

Json Agent::status() {
  watch_->refresh();
  Json processes = Json::array();
  for (const abi::ProcessSlot* slot : live_slots(segment()))
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
void Agent::wait_for_processes(const Deadline& deadline) {
  for (;;) {
    const std::uint32_t used = segment()->slots_used.load();
    const std::vector<abi::ProcessSlot*> live = live_slots(segment());
    const bool starting = process_start_time(settings_.job.first_pid) != 0;
    if (!live.empty() || !starting || deadline.passed()) return;
    futex_wait(segment()->slots_used, used, kSlotRound);
  }
}

void Agent::enqueue(Order order) {
  const std::lock_guard lock(orders_mutex_);
  if (stuck_ && (order.client || order.ticket)) {
    const Error busy{
        EBUSY, "an earlier checkpoint still waits for something that does not answer", {}};
    Json answer = failure_answer(busy);
    answer["job_goes_on"] = !live_slots(segment()).empty();
    if (order.ticket) answer_tickets(segment()->api, *order.ticket, EBUSY);
    if (order.client) (void)order.client->send(answer);
    return;
  }
  // One by the clock is not made up for when there is one on its way already.
  if (!order.client && !order.ticket && (busy_ || !orders_.empty())) return;
  orders_.push_back(std::move(order));
  orders_changed_.notify_all();
}

// The worker: a restart first if this is one, then checkpoints one after another.
void Agent::work(const std::stop_token& stop) {
  if (plan_) restart_job();
  std::unique_lock lock(orders_mutex_);
  restarting_ = false;
  while (orders_changed_.wait(lock, stop, [this] { return !orders_.empty(); })) {
    Order order = std::move(orders_.front());
    orders_.pop_front();
    busy_ = true;
    lock.unlock();
    order.prune_keep != 0 ? prune(std::move(order)) : make_checkpoint(std::move(order));
    lock.lock();
    busy_ = stuck_ = false;
  }
  worker_ended_ = true;
  orders_changed_.notify_all();
}

void Agent::make_checkpoint(Order order) {
  // A client that went away does not stop what it asked for.
  std::mutex telling;
  const auto tell = [&order, &telling](const Json& message) {
    const std::lock_guard lock(telling);
    if (order.client && !order.client->send(message)) order.client.reset();
  };
  checkpoint::Job job{*store_,
                      *segment(),
                      links_,
                      freeze_word_,
                      journal_ ? &*journal_ : nullptr,
                      settings_.job.name,
                      mode_name(settings_.mode),
                      RealPid{settings_.job.first_pid},
                      origin_};
  checkpoint::Request request;
  wait_for_processes(Deadline{order.request.freeze_timeout});
  request.timeout = order.request.timeout;
  request.freeze_timeout = order.request.freeze_timeout;
  request.files = settings_.files;
  request.secrets = secret_values(settings_);
  request.kill = order.request.kill;
  ProgressFilter filter;  // asked by one thread at a time
  request.progress = [&](std::string_view phase, std::uint64_t done, std::uint64_t total) {
    if (filter.worth_telling(phase, done, total)) tell(progress_message(phase, done, total));
  };
  request.given_up = [&](const Error& late) {
    log_error("checkpoint given up", "reason={}", log_value(late.message()));
    {
      const std::lock_guard lock(orders_mutex_);
      stuck_ = true;
    }
    const std::lock_guard lock(telling);
    finished(order, Failure(late));
    order.ticket.reset();
    order.client.reset();
  };
  const auto outcome = checkpoint::checkpoint(job, request);
  set_log_generation(0);
  if (outcome) {
    log_info("checkpoint committed", "{}", checkpoint_log_fields(*outcome));
    if (settings_.keep != 0)
      if (const auto kept = store_->retain(settings_.keep); !kept)
        log_error("remove old generations", "reason={}", log_value(kept.error().message()));
    if (const auto pruned = prune_journals(); !pruned)
      log_error("remove old journals", "reason={}", log_value(pruned.error().message()));
  } else {
    log_error("checkpoint failed", "reason={}", log_value(outcome.error().message()));
  }
  finished(order, outcome);
  if (!outcome && outcome.error().code == storage::kSuperseded) superseded();
}

// Everybody who asked is told.
void Agent::finished(Order& order, const Result<checkpoint::Outcome>& outcome) {
  Json answer = outcome ? checkpoint_answer(*outcome) : failure_answer(outcome.error());
  if (!outcome) answer["job_goes_on"] = !live_slots(segment()).empty();
  {
    const std::lock_guard lock(orders_mutex_);
    last_checkpoint_ = answer;
  }
  if (outcome) segment()->api.generation.store(outcome->generation.number);
  if (order.ticket) answer_tickets(segment()->api, *order.ticket, result_code(outcome));
  if (order.client) (void)order.client->send(answer);
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
  for (const abi::ProcessSlot* slot : live_slots(segment()))
    ::kill(slot->real_pid.load(), SIGKILL);
}

void Agent::restart_job() {
  const RealPid pid{settings_.job.first_pid};
  std::array<int, 3> stdio;
  for (std::size_t i = 0; i < stdio.size(); ++i) stdio[i] = settings_.stdio[i].get();
  const bool bring_back = settings_.files != resources::FilePolicy::kNone;
  const restart::Surroundings around{stdio, bring_back, settings_.environment, journal_ ? journal_->number() : 0};
  const auto done = restart::restart(*plan_, links_, pid, *segment(), around);
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
    ending_ = watch_->empty_for_certain();
    if (ending_) loop_->stop();
  });
}

void serve(Agent& agent) {
  if (const auto served = agent.serve(); !served)
    log_error("agent failed", "reason={}", log_value(served.error().message()));
}

void restart_main(void* context, ReadyReport report) {
  Agent agent(std::move(*static_cast<AgentSettings*>(context)));
  if (const auto started = agent.start_restart(); !started) {
    log_error("start failed", "reason={}", log_value(started.error().message()));
    return report.failed(started.error());
  }
  report.ready(agent.segment_path());
  serve(agent);
}

}  // namespace

Result<std::string> start_agent(AgentSettings settings) {
  std::vector<int> keep;
  for (const Fd& fd : settings.stdio)
    if (fd.valid()) keep.push_back(fd.get());
  return start_daemon(kAgentTitle + settings.job.name, keep, Deadline{kStartTimeout}, restart_main,
                      &settings);
}

bool is_agent(int argc, char** argv) {
  return argc == 2 && std::string_view(argv[0]).starts_with(kAgentTitle);
}

int continue_agent(char** argv) {
  const std::string title = argv[0];
  const auto text = read_text_file(std::string("/proc/self/fd/") + argv[1]);
  ::close(std::atoi(argv[1]));
  set_title(title);
  auto taken = text ? take_over(*text) : Result<TakenOver>(Failure(text.error()));
  if (!taken) return 1;
  Agent agent(std::move(taken->settings), std::move(taken->station));
  const auto held = agent.hold_station();
  if (!held) {
    log_error("start failed", "reason={}", log_value(held.error().message()));
    return 1;
  }
  serve(agent);
  return 0;
}

}  // namespace cairn::agent
