#pragma once
// Processes that were stopped are stopped again before any other one runs.

#include <vector>

#include "abi/segment.h"
#include "base/error.h"
#include "restart/restart.h"
#include "restart/tree.h"

namespace cairn::restart {

// Sets those going that were stopped (they are in their stop then), and leaves their parents with
// what they had been told of it; which of the tree's processes these were. After prepare().
[[nodiscard]] Result<std::vector<bool>> stop_again(const Plan& plan, Tree& tree,
                                                   abi::JobSegment& segment);

}  // namespace cairn::restart
