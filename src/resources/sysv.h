#pragma once
// System V IPC: shared memory, semaphore sets and message queues that the job has made.
//
// The kernel gives them new ids; the door translates (abi/sysv_ids.h). They belong to nobody and
// outlive their makers, so a killed job leaves its own behind: what is left of a set is removed
// before it is made anew, and a key that somebody uses is refused. A set that was there before the
// job is not made: it must be there again.
//
// Not saved: what SEM_UNDO would undo at the end of a process, which no call tells, and who used a
// set last.

#include <sys/ipc.h>

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kSysvSemaphoresKind;
extern const Kind kSysvMessagesKind;

// All that the job knows, before its memory, in which some are mapped.
Result<> capture_sysv(CaptureJob& job);

// The object of a mapped segment, by its real id.
Result<std::uint64_t> capture_sysv_memory(CaptureJob& job, int real_id);

// The sets that a capture has found.
void identify(const ipc_perm& permissions, std::int64_t change_time, image::SysvIdentity& identity);
Result<> capture_semaphores(CaptureJob& job, int real_id, image::SysvIdentity identity);
Result<> capture_messages(CaptureJob& job, int real_id, image::SysvIdentity identity);

Result<Fd> create_sysv_memory(RebuildContext& context, const image::KernelObject& object);

// A set like the saved one, empty, made by `call` (shmget ... with its arguments but the last, the
// flags) in the process that made it. `is_in_use`: by somebody who lives.
struct SysvMaker {
  abi::SysvKind kind;
  long get;                     // SYS_shmget ...
  std::uint64_t size = 0;       // bytes or number of semaphores
  bool (*is_in_use)(int real_id);
};
Result<int> make_sysv_set(RebuildContext& context, const image::KernelObject& object,
                          const image::SysvIdentity& identity, const SysvMaker& maker);
// Owner and mode, once it is filled.
Result<> finish_sysv_set(const SysvMaker& maker, int real_id, const image::SysvIdentity& identity,
                         std::uint64_t capacity);

// Whether a process of this machine has the number.
bool is_alive(int pid);

// Attached segments, before anything else is mapped; and those that had been removed go, once
// everybody is attached.
Result<> attach_sysv_memory(RebuildContext& context);
Result<> remove_sysv_memory(RebuildJob& job);

}  // namespace cairn::resources
