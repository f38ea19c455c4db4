#pragma once
// What doctor finds, for doctor itself and for support.

#include <string>
#include <vector>

#include "base/unix_socket.h"
#include "cli/doctor_checks.h"

namespace cairn::cli {

[[nodiscard]] std::vector<Check> examine(const std::string& dir,
                                         const std::vector<std::string>& command);
[[nodiscard]] Json to_json(const std::vector<Check>& checks);
[[nodiscard]] bool any_fails(const std::vector<Check>& checks);

}  // namespace cairn::cli
