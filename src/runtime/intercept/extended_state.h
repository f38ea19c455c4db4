#pragma once
// Register state of signal frames that were made on another machine: the kernel takes a frame whole only
// if it holds no more than this machine's own frames do (check_xstate_in_sigframe), else it restores the
// 512 legacy bytes alone, and the upper halves of the vector registers are lost.

#include <cstdint>

namespace cairn::runtime {

// What this machine's frames hold. Once, in a restore, before cpuid is taken over (cpu_view.h).
void measure_extended_state();

// Cuts the area at `fp` (0: none) down to what this machine has. What goes was never used: the machine
// was compared with the image before. Does nothing in a process that was not restored.
void fit_extended_state(std::uint64_t fp);

}  // namespace cairn::runtime
