#include "cli/launch.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "abi/boot.h"
#include "base/duration.h"
#include "base/files.h"

namespace cairn::cli {
namespace {

Result<abi::DoorMode> parse_mode(const std::string& name) {
  for (const auto mode : {abi::DoorMode::kAuto, abi::DoorMode::kDispatch, abi::DoorMode::kSeccomp,
                          abi::DoorMode::kPatchOnly})
    if (agent::mode_name(mode) == name) return mode;
  return refusal("--mode must be auto, dispatch, seccomp or patch, not", "\"" + name + "\"");
}

Result<resources::FilePolicy> parse_files(const std::string& name) {
  if (name == "auto") return resources::FilePolicy::kAuto;
  if (name == "save") return resources::FilePolicy::kSave;
  if (name == "none") return resources::FilePolicy::kNone;
  return refusal("--files must be auto, save or none, not", "\"" + name + "\"");
}

std::string plan_cache_directory() {
  if (const char* own = std::getenv("CAIRN_PLAN_CACHE"); own != nullptr && own[0] == '/')
    return own;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/')
    return std::string(cache) + "/cairn/plans";
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/')
    return std::string(home) + "/.cache/cairn/plans";
  return {};
}

}  // namespace

Result<agent::AgentSettings> prepare_agent(const JobOptions& options, ExitCode& code) {
  agent::AgentSettings settings;
  code = ExitCode::kUsage;
  if (!options.interval.empty()) {
    CAIRN_ASSIGN(settings.interval, parse_duration(options.interval));
  }
  if (!options.mode.empty()) {
    CAIRN_ASSIGN(settings.mode, parse_mode(options.mode));
  }
  if (!options.files.empty()) {
    CAIRN_ASSIGN(settings.files, parse_files(options.files));
  }
  settings.keep = options.keep;
  code = ExitCode::kInternal;
  CAIRN_ASSIGN(settings.engine, companion_program("cairn-engine"));
  CAIRN_ASSIGN(settings.runtime, companion_program("cairn-runtime"));
  // Without the planner everything works, by Syscall User Dispatch alone.
  if (const auto planner = companion_program("cairn-plan")) settings.planner = *planner;
  settings.plan_cache = plan_cache_directory();
  settings.job.first_pid = ::getpid();
  code = ExitCode::kOk;
  return settings;
}

Result<> check_job_name(const std::string& name) {
  const bool fits = !name.empty() && name.size() < sizeof(abi::JobSegment::job_name) &&
                    name != "." && name != ".." &&
                    std::all_of(name.begin(), name.end(), [](unsigned char c) {
                      return c != '/' && std::iscntrl(c) == 0;
                    });
  if (fits) return {};
  return refusal("not a name for a job (1 to 63 letters, no slash)", "\"" + name + "\"");
}

std::string boot_text(const Boot& boot) {
  return std::string(abi::kBootPrefix) + "op=" + boot.operation + ";segment=" + boot.segment +
         ";slot=-1;fd=-1;mode=" + std::to_string(static_cast<unsigned>(boot.mode)) +
         (boot.ready < 0 ? "" : ";ready=" + std::to_string(boot.ready));
}

Error become_runtime(const std::string& runtime, const Boot& boot, const std::string& path,
                     const std::vector<std::string>& arguments) {
  const std::string text = boot_text(boot);
  std::vector<char*> argv{const_cast<char*>("cairn-runtime"), const_cast<char*>(text.c_str()),
                          const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  if (boot.ready >= 0) ::fcntl(boot.ready, F_SETFD, 0);  // the one descriptor that crosses the exec
  ::execv(runtime.c_str(), argv.data());
  return os_failure("start", runtime).value();
}

}  // namespace cairn::cli
