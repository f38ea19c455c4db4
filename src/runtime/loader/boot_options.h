#pragma once
// The boot string of abi/boot.h, taken apart.

#include <cstdint>

#include "abi/segment.h"
#include "runtime/host/clocks.h"
#include "runtime/loader/start.h"

namespace cairn::runtime {

enum class BootOperation { kRun, kExec, kRestore };

struct BootOptions {
  BootOperation operation;
  abi::DoorMode mode;
  const char* segment;
  char segment_storage[512];
  std::int32_t slot;
  int program_fd;
  int error_fd;
  int filters_fd;  // the program's own seccomp filters, -1: none
  bool landlocked;
  bool no_new_privs_is_ours;
  bool nameless;  // exec was given a descriptor and no path
  int agent_report;
  std::uint64_t ignored;
  std::uint64_t blocked;
  std::int32_t virtual_pid;
  bool seccomp;
  Clocks clocks;
  bool clocks_shifted;
  bool socket_timeouts;
  std::int64_t thread_cpu_ns, thread_user_ns, thread_system_ns;
  const char* program_path;
};

// Ends the process with one line if the arguments are not ours.
void read_boot_options(const KernelStart& start, BootOptions* boot);
// What a program's exec has to carry over: the clocks, and which rows are armed.
void resume_boot_state(const BootOptions& boot);
// The string for an exec by this process; returns its length.
struct ExecOptions {
  int program_fd;
  int filters_fd;
  bool nameless;
};
std::uint64_t write_boot_string(char* out, std::uint64_t room, const ExecOptions& options);

}  // namespace cairn::runtime
