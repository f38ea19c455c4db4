#pragma once
// From argv to the options of a verb.

#include <string>

#include <tl/expected.hpp>

#include "cli/verbs.h"

namespace cairn::cli {

struct CommandLine {
  std::string verb;  // the options of the others are meaningless
  RunOptions run;
  RestartOptions restart;
  CheckpointOptions checkpoint;
  StatusOptions status;
  CommonOptions ps;
  GenerationOptions ls;
  GenerationOptions inspect;
  GenerationOptions verify;
  PruneOptions prune;
};

// Else the exit code, after the help or what is wrong was printed.
[[nodiscard]] tl::expected<CommandLine, int> parse_command_line(int argc, char** argv);

}  // namespace cairn::cli
