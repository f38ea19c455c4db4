#pragma once
// A program's first moment: its stack, its auxiliary vector, its entry.

#include <cstdint>

#include "sys/result.h"

namespace cairn::runtime {

// What the kernel put on the stack that it gave us.
struct KernelStart {
  std::uint64_t argc;
  char** argv;
  char** envp;
  std::uint64_t* auxv;  // pairs, up to AT_NULL
};

KernelStart read_start(std::uint64_t* stack);
std::uint64_t auxv_value(const KernelStart& start, std::uint64_t type);

struct ProgramRequest {
  const char* path;         // as exec was called with (AT_EXECFN)
  int fd;                   // open on the program, or -1
  char** argv;              // of the guest
  std::uint64_t argc;
  bool nameless;            // exec was given a descriptor alone
  int agent_report;         // agent_start.h, or -1
};

// Loads the program and its interpreter, builds its stack, tells the kernel where all is, and returns
// where to begin. Does not return if the program cannot be loaded.
struct EntryPoint {
  std::uint64_t rip;
  std::uint64_t rsp;
};
EntryPoint start_program(const KernelStart& start, const ProgramRequest& request);

// The guest's /proc/self/exe.
extern char g_executable[4096];

}  // namespace cairn::runtime
