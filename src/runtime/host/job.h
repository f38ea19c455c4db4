#pragma once
// This process as a member of its job: the mapped segment and its slot there.

#include "abi/segment.h"
#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// Maps the segment file; without one (nullptr, or it cannot be opened) the process runs but is not a
// member of any job.
void attach_job(const char* segment_path);
bool job_attached();
const char* segment_path();

// Claims a slot for the calling process, or takes over the one it had before exec.
void join_job(Process* process, std::int32_t slot_before_exec);
void leave_job(Process* process);
void mark_unsupported(Process* process, const char* reason);
void unmark_unsupported(Process* process);

// How system calls are caught; decided once at the start.
abi::DoorMode door_mode();
void set_door_mode(abi::DoorMode mode);

extern Process g_process;
extern Sighand g_sighand;

}  // namespace cairn::runtime
