// ps and status

#include "cli/locate.h"
#include "cli/output.h"
#include "cli/verbs.h"

#include <fmt/format.h>

namespace cairn::cli {
namespace {

constexpr std::chrono::milliseconds kAnswerTimeout{10'000};

Json to_json(const agent::JobEntry& job) {
  return {{"job", job.job_id},   {"name", job.name},           {"pid", job.first_pid},
          {"agent_pid", job.agent_pid}, {"directory", job.directory},
          {"incarnation", job.incarnation}, {"started_ns", job.started_ns}};
}

Result<Json> ask_status(const agent::JobEntry& job) {
  CAIRN_ASSIGN(Fd socket, connect_unix(job.socket()));
  JsonLines agent(std::move(socket));
  CAIRN_TRY(agent.send({{"request", "status"}}));
  return agent.receive(Deadline{kAnswerTimeout});
}

void print_status(const Json& status) {
  print_line(fmt::format("job          {} ({})", status.value("name", ""), status.value("job", "")));
  print_line(fmt::format("directory    {}", status.value("directory", "")));
  print_line(fmt::format("started      {}", format_time(status.value("started_ns", std::int64_t{0}))));
  print_line(fmt::format("incarnation  {}", status.value("incarnation", std::uint64_t{0})));
  print_line(fmt::format("agent        {}", status.value("agent_pid", 0)));
  for (const Json& process : status.value("processes", Json::array())) {
    const std::string reason = process.value("cannot_be_saved", "");
    print_line(fmt::format("process      {}{}", process.value("pid", 0),
                           reason.empty() ? "" : " (cannot be saved: " + reason + ")"));
  }
  std::string numbers;
  for (const Json& number : status.value("generations", Json::array()))
    numbers += (numbers.empty() ? "" : " ") + number.dump();
  print_line("generations  " + (numbers.empty() ? "none" : numbers));
  const Json last = status.value("last_checkpoint", Json());
  if (last.is_object())
    print_line("last         " + (last.value("ok", false)
                                      ? "generation " + last.at("generation").dump()
                                      : "failed: " + last.value("error", "")));
}

}  // namespace

ExitCode ps(const CommonOptions& options) {
  std::vector<agent::JobEntry> jobs = agent::running_jobs();
  if (!options.dir.empty())
    std::erase_if(jobs, [directory = absolute(options.dir)](const agent::JobEntry& job) {
      return job.directory != directory;
    });
  if (options.json) {
    Json list = Json::array();
    for (const agent::JobEntry& job : jobs) list.push_back(to_json(job));
    print_json(list);
    return ExitCode::kOk;
  }
  std::vector<std::vector<std::string>> rows{{"JOB", "NAME", "PID", "STARTED", "DIRECTORY"}};
  for (const agent::JobEntry& job : jobs)
    rows.push_back({job.job_id.substr(0, 8), job.name, std::to_string(job.first_pid),
                    format_time(job.started_ns), job.directory});
  print_table(rows);
  return ExitCode::kOk;
}

ExitCode status(const StatusOptions& options) {
  const bool json = options.common.json;
  const auto job = find_job(options.job, options.common.dir);
  if (!job) return fail(json, ExitCode::kRefused, job.error());
  const auto answer = ask_status(*job);
  if (!answer) return fail(json, ExitCode::kFailed, answer.error());
  if (json) {
    print_json(*answer);
  } else {
    print_status(*answer);
  }
  return ExitCode::kOk;
}

}  // namespace cairn::cli
