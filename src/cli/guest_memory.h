#pragma once
// Pieces of the memory of a saved process: its arguments, its environment.

#include <cstdint>
#include <string>
#include <vector>

#include "restart/restart.h"

namespace cairn::cli {

// What is not in the image (a hole, a page that comes from a file) reads as zero.
[[nodiscard]] Result<std::string> read_guest(const restart::Plan& plan,
                                             const image::ProcessImage& process,
                                             std::uint64_t address, std::uint64_t bytes);

// The strings, each ended by a NUL, of an area such as that of the arguments.
[[nodiscard]] Result<std::vector<std::string>> read_guest_strings(
    const restart::Plan& plan, const image::ProcessImage& process, std::uint64_t start,
    std::uint64_t end);

}  // namespace cairn::cli
