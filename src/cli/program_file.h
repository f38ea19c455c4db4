#pragma once
// Which file `cairn run PROGRAM` means, and whether it can be run under Cairn.

#include <string>
#include <vector>

#include "base/error.h"
#include "base/exit_code.h"

namespace cairn::cli {

struct Program {
  std::string path;                    // as exec would be called with
  std::vector<std::string> arguments;  // argv, [0] included
};

struct ProgramFailure {
  ExitCode code;  // kNotFound or kNotExecutable
  Error error;
};

// As execvp(3) does it: $PATH unless there is a slash, and /bin/sh for a text without "#!".
[[nodiscard]] tl::expected<Program, ProgramFailure> resolve_program(
    const std::vector<std::string>& command);

}  // namespace cairn::cli
