#pragma once
// x86-64 levels (System V ABI for x86-64, "microarchitecture levels"): which features each has, and what
// cpuid says to a program that is to see no more than that.

#include <optional>
#include <string>

#include "abi/cpu_view.h"
#include "base/error.h"

namespace cairn {

// "host" is 0; nothing for another word than host, x86-64-v2, x86-64-v3, x86-64-v4.
std::optional<std::uint32_t> parse_cpu_level(const std::string& name);

// This machine's CPU, cut down to a level. An error names what this CPU lacks for it.
Result<abi::CpuView> make_cpu_view(std::uint32_t level);

// The register states (xcr0) that programs of a level may use.
std::uint64_t cpu_level_states(std::uint32_t level);

}  // namespace cairn
