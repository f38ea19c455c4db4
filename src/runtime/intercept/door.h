#pragma once
// Arming the door for the calling thread (door.cc).

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// GS, the signal stack, and Syscall User Dispatch; all three are off in a new thread or program.
void arm_thread(ThreadBlock* t);
void set_gs(ThreadBlock* t);

// Once per process: decides the mode by what this kernel has and installs the seccomp filter where
// that is the mode and no ancestor has installed it.
void arm_process(bool filter_already_installed);
bool seccomp_installed();
// As the guest has asked for it; what the fallback needs for its filter does not count.
bool guest_has_no_new_privs(const Process& process);

void set_fsgsbase(bool available);

}  // namespace cairn::runtime
