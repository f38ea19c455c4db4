#pragma once
// Names of the system calls that are run in frozen processes, for error messages.

#include <cstdint>
#include <string>

namespace cairn::resources {

std::string syscall_name(std::uint32_t number);

}  // namespace cairn::resources
