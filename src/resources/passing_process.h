#pragma once

// A process for a moment: what stands for one that has ended is made while it is there.

#include <sys/types.h>

#include <functional>

#include "base/error.h"

namespace cairn::resources {

// The process lives until `use` returns, then ends with 0 and is waited for.
[[nodiscard]] Result<> with_passing_process(const std::function<Result<>(pid_t)>& use);

}  // namespace cairn::resources
