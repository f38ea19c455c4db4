#pragma once
// Durations as people write them: "30s", "10m", "1h30m", "250ms", "2d"; a bare number is seconds.

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace cairn {

[[nodiscard]] Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// The shortest of these words that says the same: "90s" is "1m30s".
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);

}  // namespace cairn
