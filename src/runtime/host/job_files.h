#pragma once
// The job's own files for a process of another user than the agent's (abi/job_files.h).

#include "abi/job_files.h"
#include "sys/result.h"

namespace cairn::runtime {

// Opens `path`; where that is not permitted, the agent is asked for `file`, by way of the segment's
// path. A descriptor, or what the kernel answered.
sys::SysResult open_job_file(const char* path, std::uint64_t flags, const char* segment_path,
                             abi::JobFile file);

}  // namespace cairn::runtime
