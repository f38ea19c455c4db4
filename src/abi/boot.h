#pragma once
// What the runtime is told when the kernel execs it: argv[1] of the exec, a short text that it
// removes before the guest sees its arguments.
//
//   argv = { "cairn-runtime", "CAIRN1:k=v;k=v;...", <path as exec was called with>, argv[0], argv[1] ... }
//
// Keys (values are decimal or hexadecimal with 0x; unknown keys are an error):
//   op        run | exec | restore
//   segment   path of the job segment's file
//   slot      this process's slot from before exec (exec only), else -1
//   fd        descriptor of the program's file, opened by the caller (run: may be -1, then the
//             runtime opens the path itself)
//   ign       mask of signals that the guest ignores (bit n-1 for signal n) although the kernel
//             holds a handler for them: SIGSEGV, SIGBUS, SIGSYS, the park signal
//   vmask     the signals that the guest has blocked, of op=exec
//   vpid      the VirtualPid where it differs from the real one, else 0
//   mode      DoorMode (segment.h)
//   seccomp   1: the filter is already installed
//   mono, boot, cpu, user, sys, cuser, csys  offsets of the guest's clocks in ns, signed
//   tcpu, tuser, tsys  the same for the clocks of the thread
//   start     when the process began, in ticks (field 22 of its stat), or 0
//   filters   exec: the descriptor that holds the program's own seccomp filters
//   nameless  exec: 1 if it was given a descriptor and no path
//   privs     exec: 1 if no_new_privs is set for the fallback's filter, and not by the program
//   landlock  exec: 1 if the program is restricted by Landlock, so that it cannot be saved
//   errfd     restore: where the one line goes that says why it failed
//   ready     run: a pipe from the agent, which starts at the same time; the guest's first
//             instruction waits for it. What comes: kSegmentThere, then kAgentReady; or, instead of
//             either, kAgentFailed with AgentFailure and its texts, which the runtime passes on

#include <cstdint>

namespace cairn::abi {

inline constexpr char kBootPrefix[] = "CAIRN1:";

inline constexpr char kSegmentThere = 'S';
inline constexpr char kAgentReady = 'R';
inline constexpr char kAgentFailed = 'F';

struct AgentFailure {
  std::uint32_t exit_code;
  std::uint32_t error_bytes;   // for standard error, right behind this
  std::uint32_t output_bytes;  // for standard output, behind those
};

}  // namespace cairn::abi
