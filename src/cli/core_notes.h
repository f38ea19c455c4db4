#pragma once
// The notes of an ELF core: what a debugger learns beside the memory.

#include <string>

#include "restart/restart.h"

namespace cairn::cli {

// NT_PRPSINFO, NT_AUXV, NT_SIGINFO, NT_FILE, and of each thread NT_PRSTATUS, NT_PRFPREG and
// NT_X86_XSTATE, as the kernel writes them (fs/binfmt_elf.c).
[[nodiscard]] Result<std::string> core_notes(const restart::Plan& plan,
                                             const image::ProcessImage& process);

}  // namespace cairn::cli
