#pragma once
// An ELF core of one saved process.
//
//   ELF header, program headers, notes (core_notes.h), then the memory. What was never touched is a
//   hole of the file; pages that are still in a mapped file are left to the debugger (NT_FILE).

#include <cstdint>
#include <string>

#include "restart/restart.h"

namespace cairn::cli {

struct CoreReport {
  std::uint64_t threads = 0;
  std::uint64_t segments = 0;
  std::uint64_t memory_bytes = 0;  // that were written
};

// The file appears whole or not at all. Mode 0600: it holds all that the program knew.
[[nodiscard]] Result<CoreReport> write_core(const restart::Plan& plan,
                                            const image::ProcessImage& process,
                                            const std::string& path);

}  // namespace cairn::cli
