#pragma once
// The verbs of the command line, one function each, and what they are told. main.cc fills the
// options; everything that a verb prints and returns is in its own file.

#include <string>
#include <vector>

#include "base/exit_code.h"

namespace cairn::cli {

// On every verb.
struct CommonOptions {
  std::string dir;    // as given; empty: the verb's default
  bool json = false;
};

struct JobOptions {
  std::string interval;
  std::string name;
  std::string mode;
  std::string files;
  unsigned keep = 0;
};

struct RunOptions {
  CommonOptions common;
  JobOptions job;
  std::string cpu;
  std::vector<std::string> secret_env;
  std::vector<std::string> command;  // PROGRAM ARGS
};
[[nodiscard]] ExitCode run(const RunOptions& options);  // returns only if it failed

struct RestartOptions {
  CommonOptions common;
  JobOptions job;
  std::vector<std::string> map;  // OLD=NEW
  std::vector<std::string> env;  // NAME or NAME=VALUE
  std::string generation;  // DIR or DIR/GENERATION
};
[[nodiscard]] ExitCode restart(const RestartOptions& options);  // returns only if it failed

struct CheckpointOptions {
  CommonOptions common;
  std::string job;
  std::string timeout;
  bool kill = false;
};
[[nodiscard]] ExitCode checkpoint(const CheckpointOptions& options);

struct StatusOptions {
  CommonOptions common;
  std::string job;
};
[[nodiscard]] ExitCode ps(const CommonOptions& options);
[[nodiscard]] ExitCode status(const StatusOptions& options);

struct GenerationOptions {
  CommonOptions common;
  std::string generation;  // DIR or DIR/GENERATION
  bool direct = false;     // verify: around the page cache
};
[[nodiscard]] ExitCode ls(const GenerationOptions& options);
[[nodiscard]] ExitCode verify(const GenerationOptions& options);


struct InspectOptions {
  CommonOptions common;
  std::string generation;
  bool mask_secrets = false;
};
[[nodiscard]] ExitCode inspect(const InspectOptions& options);

struct CoreOptions {
  CommonOptions common;
  std::string generation;
  std::string output;
  int pid = 0;  // as the program knows it; 0: the only one
};
[[nodiscard]] ExitCode core(const CoreOptions& options);

struct DoctorOptions {
  CommonOptions common;
  std::vector<std::string> command;  // PROGRAM ARGS, or nothing
};
[[nodiscard]] ExitCode doctor(const DoctorOptions& options);

struct SupportOptions {
  CommonOptions common;
  std::string directory;  // DIR or DIR/GENERATION
  std::string output;
};
[[nodiscard]] ExitCode support(const SupportOptions& options);

struct PruneOptions {
  CommonOptions common;
  std::string directory;
  unsigned keep = 0;
};
[[nodiscard]] ExitCode prune(const PruneOptions& options);

}  // namespace cairn::cli
