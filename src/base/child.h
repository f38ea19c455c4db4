#pragma once
// Helper programs of the agent.

#include <filesystem>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"

namespace cairn {

// Runs a program to its end, with /dev/null for its three descriptors; kills it at the deadline.
// Returns its exit code; 128 + n if signal n ended it.
[[nodiscard]] Result<int> run_program(const std::filesystem::path& program,
                                      const std::vector<std::string>& arguments,
                                      const Deadline& deadline);

}  // namespace cairn
