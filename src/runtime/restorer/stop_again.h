#pragma once
// A process that was stopped when it was saved is stopped again, before the guest goes on.

#include <cstdint>

namespace cairn::runtime {

// What it is to be stopped by; 0 or a negative errno.
std::int32_t keep_stop_signal(std::int32_t signal);

// Stops the whole process if it was. By a thread whose signals are all blocked, before any other
// one may enter the guest; returns when it is continued.
void stop_again();

}  // namespace cairn::runtime
