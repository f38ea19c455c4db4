#pragma once
// This process as a member of its job: the mapped segment and its slot there.

#include "abi/segment.h"
#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// Maps the segment file; without one (nullptr, or it cannot be opened) the process runs but is not a
// member of any job.
void attach_job(const char* segment_path);
bool job_attached();
bool agent_is_gone();  // it was killed: an agent outlives its job
const char* segment_path();

// A slot for the child of a fork under way; -1: there is none.
std::int32_t reserve_slot(bool child_borrows);
void give_back_slot(std::int32_t index);
std::atomic<std::int32_t>* slot_pid(std::int32_t index);

// The calling process becomes a member: with the slot that was reserved for it, with the one it had
// before exec, or (-1) with a new one.
void join_job(Process* process, std::int32_t slot);
// It is about to end.
void leave_job(Process* process);
void mark_unsupported(Process* process, const char* reason);
void unmark_unsupported(Process* process);

// How system calls are caught; decided once at the start.
abi::DoorMode door_mode();
void set_door_mode(abi::DoorMode mode);

extern Process g_process;
extern Sighand g_sighand;

}  // namespace cairn::runtime
