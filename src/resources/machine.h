#pragma once
// The CPU and the kernel: described in the image, compared before a restart.

#include <string>
#include <vector>

#include "abi/cpu_view.h"
#include "image/schema/process.pb.h"

namespace cairn::resources {

// `seen`: what the job's programs are told of the CPU; level 0: the CPU itself.
void describe_machine(image::Machine& machine, const abi::CpuView& seen);
void describe_cpu_view(const abi::CpuView& view, image::Machine& machine);
// All zero for an image without one.
abi::CpuView cpu_view_of(const image::Machine& machine);

std::vector<std::string> what_machine_lacks(const image::Machine& saved);

}  // namespace cairn::resources
