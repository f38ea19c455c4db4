#pragma once
// The CPU and the kernel: described in the image, compared before a restart.

#include <string>
#include <vector>

#include "image/schema/process.pb.h"

namespace cairn::resources {

void describe_machine(image::Machine& machine);
std::vector<std::string> what_machine_lacks(const image::Machine& saved);

}  // namespace cairn::resources
