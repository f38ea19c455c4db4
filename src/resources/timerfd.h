#pragma once
// timerfd: a clock, what is left, and the expirations that were not read.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kTimerFdKind;

// Sets them running; before that they are disarmed, so that the rebuild takes no time from them.
Result<> start_timerfds(RebuildJob& job);
}  // namespace cairn::resources
