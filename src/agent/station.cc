#include "agent/station.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <tuple>
#include <vector>

#include "abi/boot.h"
#include "base/cpu_view.h"
#include "base/daemon.h"
#include "base/files.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "storage/owner.h"

namespace cairn::agent {
namespace {

std::int64_t realtime_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Result<> own_store(JobEntry& job) {
  storage::OwnerRecord wanted;
  wanted.job_id = job.job_id;
  wanted.coordinator_address = job.socket();
  wanted.fill_in_self();
  CAIRN_ASSIGN(const auto owner,
               storage::claim_store(job.directory, wanted, storage::Takeover::kIfNotAlive));
  job.incarnation = owner.incarnation;
  job.agent_start_time = owner.start_time;
  return make_log(agent_log(job));
}

// Every field of what is handed over, in an order of its own; one that is added and not named here
// does not compile.
auto fields_of(auto& settings) {
  auto& [job, interval, files, keep, mode, cpu_level, engine, runtime, planner, plan_cache, restart_from,
         secrets, moved, environment, stdio] = settings;
  auto& [job_id, name, directory, incarnation, agent_pid, agent_start_time, first_pid, started_ns,
         run_directory] = job;
  // restart_from and what follows secrets: an agent of a restart is not handed over.
  return std::tie(job_id, name, directory, incarnation, agent_pid, agent_start_time, first_pid,
                  started_ns, run_directory, interval, files, keep, mode, cpu_level, engine, runtime, planner,
                  plan_cache, secrets);
}

void write_field(std::string& text, const std::string& value) {
  text.append(value).push_back('\0');
}
void write_field(std::string& text, const std::filesystem::path& value) {
  write_field(text, value.native());
}
void write_field(std::string& text, std::integral auto value) {
  write_field(text, std::to_string(value));
}
void write_field(std::string& text, std::chrono::milliseconds value) {
  write_field(text, value.count());
}
template <class T>
requires std::is_enum_v<T>
void write_field(std::string& text, T value) {
  write_field(text, static_cast<int>(value));
}

// Takes the fields off the text, one by one.
class Fields {
 public:
  explicit Fields(std::string_view text) : rest_(text) {}

  void read(std::string& value) {
    const std::size_t end = rest_.find('\0');
    whole_ = whole_ && end != std::string_view::npos;
    value = rest_.substr(0, end);
    rest_.remove_prefix(whole_ ? end + 1 : rest_.size());
  }
  void read(std::filesystem::path& value) {
    std::string text;
    read(text);
    value = text;
  }
  void read(std::integral auto& value) {
    std::string text;
    read(text);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    whole_ = whole_ && error == std::errc{} && end == text.data() + text.size();
  }
  void read(std::chrono::milliseconds& value) {
    std::int64_t count = 0;
    read(count);
    value = std::chrono::milliseconds(count);
  }
  template <class T>
  requires std::is_enum_v<T>
  void read(T& value) {
    int number = 0;
    read(number);
    value = static_cast<T>(number);
  }
  void read(Fd& value) {
    int fd = -1;
    read(fd);
    value = Fd(fd);
    if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  [[nodiscard]] bool whole() const { return whole_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool whole_ = true;
};

// In the same process; what it holds stays open. Returns only on failure.
Error become_engine(const AgentSettings& settings, const Station& station) {
  const Fd text(::memfd_create("cairn-agent", 0));
  if (!text.valid()) return os_failure("memfd_create").value();
  if (const auto written = write_all(text.get(), hand_over_text(settings, station)); !written)
    return written.error();
  for (const Fd* fd : {&station.listener, &station.files, &station.program})
    if (fd->valid()) ::fcntl(fd->get(), F_SETFD, 0);
  std::string title = kAgentTitle + settings.job.name;
  std::string number = std::to_string(text.get());
  char* const argv[] = {title.data(), number.data(), nullptr};
  ::execv(settings.engine.c_str(), argv);
  return os_failure("start", settings.engine).value();
}

struct Start {
  AgentSettings settings;
  Explain explain;
};

void station_main(void* context, ReadyReport report) {
  auto& [settings, explain] = *static_cast<Start*>(context);
  Station station;
  auto started = make_segment(settings, station);
  if (started) report.send({abi::kSegmentThere});
  if (started) started = claim_station(settings, station);
  if (started) started = publish(settings.job);
  if (!started) {
    remove_run_directory(settings.job);
    return report.end(explain(started.error()));
  }
  report.end({abi::kAgentReady});
  const Error error = become_engine(settings, station);
  // The program runs already: it goes on, and `cairn checkpoint` finds no job.
  if (open_log(agent_log(settings.job), {settings.job.job_id, 0}))
    log_error("agent failed", "reason={}", log_value(error.message()));
  remove_run_directory(settings.job);
}

}  // namespace

Result<> make_segment(AgentSettings& settings, Station& station) {
  JobEntry& job = settings.job;
  job.agent_pid = ::getpid();
  CAIRN_TRY(make_run_directory(job));
  auto segment = SegmentFile::create(job.segment(), {.socket = job.socket(),
                                                     .job_name = job.name,
                                                     .runtime_path = settings.runtime,
                                                     .plan_cache = settings.plan_cache,
                                                     .mode = settings.mode});
  if (!segment) return Failure(segment.error());
  station.segment.emplace(std::move(*segment));
  CAIRN_ASSIGN((*station.segment)->cpu, make_cpu_view(settings.cpu_level));
  return {};
}

Result<> claim_station(AgentSettings& settings, Station& station) {
  JobEntry& job = settings.job;
  CAIRN_ASSIGN(station.listener, listen_unix(job.socket()));
  // Before the program's first instruction: nobody else's processes can change their user.
  if (::geteuid() == 0) {
    CAIRN_ASSIGN(station.files, listen_abstract(job.segment()));
  }
  CAIRN_TRY(own_store(job));
  // A program may ask with its first instruction.
  (*station.segment)->api.incarnation.store(job.incarnation);
  (*station.segment)->api.generation.store(settings.restart_from);
  // While the program is not waited for its pid is nobody else's.
  station.program = Fd(static_cast<int>(::syscall(SYS_pidfd_open, job.first_pid, 0)));
  if (!station.program.valid()) return os_failure("watch process", std::to_string(job.first_pid));
  job.started_ns = realtime_ns();
  return {};
}

std::string hand_over_text(const AgentSettings& settings, const Station& station) {
  std::string text;
  std::apply([&text](const auto&... field) { (write_field(text, field), ...); },
             fields_of(settings));
  write_field(text, station.listener.get());
  write_field(text, station.files.get());
  write_field(text, station.program.get());
  return text;
}

Result<TakenOver> take_over(const std::string& text) {
  TakenOver taken;
  Fields fields(text);
  std::apply([&fields](auto&... field) { (fields.read(field), ...); }, fields_of(taken.settings));
  fields.read(taken.station.listener);
  fields.read(taken.station.files);
  fields.read(taken.station.program);
  if (!fields.whole()) return refusal("take over an agent: its settings are not whole");
  auto segment = SegmentFile::open(taken.settings.job.segment());
  if (!segment) return Failure(segment.error());
  taken.station.segment.emplace(std::move(*segment));
  return taken;
}

Result<LaunchedAgent> launch_agent(AgentSettings settings, Explain explain) {
  LaunchedAgent launched{run_directory_of(settings.job) / "segment", {}};
  Start start{std::move(settings), std::move(explain)};
  CAIRN_ASSIGN(launched.report,
               launch_daemon(kAgentTitle + start.settings.job.name, {}, station_main, &start));
  return launched;
}

}  // namespace cairn::agent
