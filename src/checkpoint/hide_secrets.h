#pragma once
// `cairn run --secret-env`: the values of these variables are not in an image, wherever they lie in
// the program's memory; in their place are stars. What is on its way in pipes and sockets, and what
// the program has written into files, is not looked at.

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "storage/page.h"

namespace cairn::checkpoint {

// Shorter ones cannot be told from other data.
inline constexpr std::size_t kShortestSecret = 6;

using ReadMemory = std::function<Result<>(std::uint64_t position, std::span<std::byte> into)>;

// In `bytes`, the contents of `runs` one behind the other. `read` gives what lies around a run.
void hide_secrets(const std::vector<std::string>& values, const std::vector<storage::PageRun>& runs,
                  std::byte* bytes, const ReadMemory& read);

// Of registers, which may hold any part of a value.
void hide_secret_parts(const std::vector<std::string>& values, std::string& registers);

}  // namespace cairn::checkpoint
