#pragma once
// What `run` and `restart` have in common: the agent is started, then this very process becomes the
// program.

#include <string>
#include <vector>

#include "agent/settings.h"
#include "cli/verbs.h"

namespace cairn::cli {

// Reads --interval, --mode, --keep and finds our other programs. Sets `code` on failure.
[[nodiscard]] Result<agent::AgentSettings> prepare_agent(const JobOptions& options,
                                                         ExitCode& code);

// A name that can be part of a file's name and of a line of text.
[[nodiscard]] Result<> check_job_name(const std::string& name);

// What the runtime is told (abi/boot.h).
struct Boot {
  std::string operation;  // run, restore
  std::string segment;
  abi::DoorMode mode = abi::DoorMode::kAuto;
  int ready = -1;  // run: where the agent's report comes
};
[[nodiscard]] std::string boot_text(const Boot& boot);

// execs the runtime for the program `path` with its argv. Returns only on failure.
[[nodiscard]] Error become_runtime(const std::string& runtime, const Boot& boot,
                                   const std::string& path,
                                   const std::vector<std::string>& arguments);

}  // namespace cairn::cli
