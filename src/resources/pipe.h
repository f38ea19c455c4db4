#pragma once
// Pipes with their data. The pipe and its two ends are three records, since each end is an open file
// of its own and may be there several times, or not at all.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kPipeEndKind;
extern const Kind kPipeKind;

// What is in a pipe or FIFO, copied with tee, never taken. `reader` is a reading end of it.
Result<std::string> copy_pipe_data(int reader);
}  // namespace cairn::resources
