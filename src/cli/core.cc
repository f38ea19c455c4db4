// core: a saved process as a file for a debugger

#include <fmt/format.h>

#include "cli/chosen.h"
#include "cli/core_file.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace cairn::cli {
namespace {

Result<const image::ProcessImage*> choose_process(const restart::Plan& plan, int pid) {
  std::string pids;
  std::vector<const image::ProcessImage*> living;
  for (const auto& process : plan.records.processes) {
    if (process.zombie()) continue;
    if (pid == process.pid()) return &process;
    pids += " " + std::to_string(process.pid());
    living.push_back(&process);
  }
  if (pid != 0)
    return refusal(fmt::format("no process {} is saved there; there are:{}", pid, pids));
  if (living.size() == 1) return living.front();
  return refusal("which process? (--pid N) there are:" + pids);
}

}  // namespace

ExitCode core(const CoreOptions& options) {
  const bool json = options.common.json;
  const auto plan = read_chosen(options.generation, options.common.dir);
  if (!plan) return fail(json, plan.error().code, plan.error().error);
  const auto process = choose_process(*plan, options.pid);
  if (!process) return fail(json, ExitCode::kRefused, process.error());
  const std::string path =
      options.output.empty() ? "core." + std::to_string((*process)->pid()) : options.output;
  const auto written = write_core(*plan, **process, path);
  if (!written) return fail(json, ExitCode::kFailed, written.error());
  if (json) {
    print_json({{"file", path},
                {"pid", (*process)->pid()},
                {"generation", plan->generation},
                {"threads", written->threads},
                {"segments", written->segments},
                {"memory_bytes", written->memory_bytes}});
  } else {
    print_line(fmt::format("{}: process {}, {} threads, {} of memory; gdb {} {}", path,
                           (*process)->pid(), written->threads, format_bytes(written->memory_bytes),
                           (*process)->program().executable(), path));
  }
  return ExitCode::kOk;
}

}  // namespace cairn::cli
