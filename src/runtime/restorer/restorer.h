#pragma once
// A process that becomes another one: the inside half of a restart.

#include "runtime/loader/boot_options.h"
#include "runtime/loader/start.h"

namespace cairn::runtime {

// Empties the address space outside of the arena, connects to the agent and serves it until the
// guest goes on; ends the process if it does not come to that.
[[noreturn]] void restore_process(const KernelStart& start, const BootOptions& boot);

}  // namespace cairn::runtime
