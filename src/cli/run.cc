#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "abi/boot.h"
#include "base/cpu_view.h"
#include "agent/station.h"
#include "checkpoint/hide_secrets.h"
#include "cli/launch.h"
#include "cli/locate.h"
#include "cli/output.h"
#include "cli/program_file.h"
#include "cli/verbs.h"
#include "storage/owner.h"

namespace cairn::cli {
namespace {

// What the runtime, which is in our place by then, says and ends with if the agent cannot start.
std::string failure_report(bool json, const Error& error) {
  const ExitCode code =
      error.code == storage::kOwned ? ExitCode::kRefused : ExitCode::kInternal;
  const std::string line = failure_line(error);
  const std::string output = json ? failure_json(code, error) : std::string();
  const abi::AgentFailure failure{static_cast<std::uint32_t>(code),
                                  static_cast<std::uint32_t>(line.size()),
                                  static_cast<std::uint32_t>(output.size())};
  std::string report(1, abi::kAgentFailed);
  report.append(reinterpret_cast<const char*>(&failure), sizeof failure);
  return report + line + output;
}

Result<std::uint32_t> cpu_level(const std::string& name) {
  if (name.empty()) return 0;
  const auto level = parse_cpu_level(name);
  if (!level) return refusal("--cpu must be host, x86-64-v2, x86-64-v3 or x86-64-v4, not", "\"" + name + "\"");
  return *level;
}

Result<> check_secret(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (name.empty() || name.find_first_of("=\n") != std::string::npos || value == nullptr)
    return refusal("--secret-env: there is no such variable:", name);
  if (std::strlen(value) < checkpoint::kShortestSecret)
    return refusal("--secret-env: too short to be told from other data: the value of", name);
  return {};
}

}  // namespace

ExitCode run(const RunOptions& options) {
  const bool json = options.common.json;
  if (options.command.empty())
    return fail(json, ExitCode::kUsage, Error{0, "run: which program?", {}});
  const auto program = resolve_program(options.command);
  if (!program) return fail(json, program.error().code, program.error().error);

  ExitCode code = ExitCode::kOk;
  auto settings = prepare_agent(options.job, code);
  if (!settings) return fail(json, code, settings.error());
  if (const auto level = cpu_level(options.cpu); !level)
    return fail(json, ExitCode::kUsage, level.error());
  else
    settings->cpu_level = *level;
  for (const std::string& name : options.secret_env) {
    if (const auto fits = check_secret(name); !fits)
      return fail(json, ExitCode::kUsage, fits.error());
    settings->secrets += name + "\n";
  }
  agent::JobEntry& job = settings->job;
  job.name = options.job.name.empty()
                 ? std::filesystem::path(options.command.front()).filename().string()
                 : options.job.name;
  if (const auto fits = check_job_name(job.name); !fits)
    return fail(json, ExitCode::kUsage, fits.error());
  job.job_id = agent::make_job_id();
  job.directory = absolute(options.common.dir.empty() ? "cairn-" + job.name : options.common.dir);

  if (directory_in_use(job.directory))
    return fail(json, ExitCode::kRefused, Error{0, "another job runs in", job.directory});

  const std::string runtime = settings->runtime;
  const abi::DoorMode mode = settings->mode;
  const auto agent = agent::launch_agent(
      std::move(*settings), [json](const Error& error) { return failure_report(json, error); });
  if (!agent) return fail(json, ExitCode::kInternal, agent.error());
  return fail(json, ExitCode::kInternal,
              become_runtime(runtime, {"run", agent->segment, mode, agent->report.get()},
                             program->path, program->arguments));
}

}  // namespace cairn::cli
