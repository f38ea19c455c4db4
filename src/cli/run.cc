#include <filesystem>

#include "cli/launch.h"
#include "cli/locate.h"
#include "cli/output.h"
#include "cli/program_file.h"
#include "cli/verbs.h"
#include "storage/owner.h"

namespace cairn::cli {

ExitCode run(const RunOptions& options) {
  const bool json = options.common.json;
  if (options.command.empty())
    return fail(json, ExitCode::kUsage, Error{0, "run: which program?", {}});
  const auto program = resolve_program(options.command);
  if (!program) return fail(json, program.error().code, program.error().error);

  ExitCode code = ExitCode::kOk;
  auto settings = prepare_agent(options.job, code);
  if (!settings) return fail(json, code, settings.error());
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
  const auto segment = agent::start_agent(std::move(*settings));
  if (!segment) {
    const bool owned = segment.error().code == storage::kOwned;
    return fail(json, owned ? ExitCode::kRefused : ExitCode::kInternal, segment.error());
  }
  return fail(json, ExitCode::kInternal,
              become_runtime(runtime, {"run", *segment, mode}, program->path,
                             program->arguments));
}

}  // namespace cairn::cli
