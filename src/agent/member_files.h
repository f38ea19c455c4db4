#pragma once
// Gives files of the job to its processes that may not open them (abi/job_files.h).

#include "abi/segment.h"
#include "base/error.h"

namespace cairn::agent {

// `connection` is that of a process of the job. Does not wait longer than the peer's four bytes,
// which are sent with the connection.
[[nodiscard]] Result<> give_file(int connection, const std::string& segment_path,
                                 const abi::JobSegment& segment);

}  // namespace cairn::agent
