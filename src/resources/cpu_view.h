#pragma once
// x86-64 levels (System V ABI for x86-64, "microarchitecture levels"): which features each has, and what
// cpuid says to a program that is to see no more than that.

#include <optional>
#include <string>

#include "abi/cpu_view.h"
#include "base/error.h"
#include "image/schema/process.pb.h"

namespace cairn::resources {

// "host" is 0; nothing for another word than host, x86-64-v2, x86-64-v3, x86-64-v4.
std::optional<std::uint32_t> parse_cpu_level(const std::string& name);

// This machine's CPU, cut down to a level. An error names what this CPU lacks for it.
Result<abi::CpuView> make_cpu_view(std::uint32_t level);

void describe_cpu_view(const abi::CpuView& view, image::Machine& machine);
// All zero for an image without one.
abi::CpuView cpu_view_of(const image::Machine& machine);

}  // namespace cairn::resources
