#pragma once
// From argv to the options of a verb.

#include <string>
#include <vector>

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
  InspectOptions inspect;
  GenerationOptions verify;
  CoreOptions core;
  DoctorOptions doctor;
  SupportOptions support;
  PruneOptions prune;
};

// Else the exit code, after the help or what is wrong was printed.
[[nodiscard]] tl::expected<CommandLine, int> parse_command_line(int argc, char** argv);

// What there is, for the manual page and the completion.
struct OptionHelp {
  std::vector<std::string> names;  // "-o", "--output"; of a word: its name
  bool word = false;               // no flag
  std::string value;               // what follows it, "DIR"; empty: nothing
  std::string variable;            // of the environment
  std::string description;
};
struct VerbHelp {
  std::string name;
  std::string description;
  std::vector<OptionHelp> options;
};
[[nodiscard]] std::vector<VerbHelp> describe_verbs();
[[nodiscard]] std::string exit_code_help();

}  // namespace cairn::cli
