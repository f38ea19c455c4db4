#pragma once
// Ids of System V IPC: those of the guest and those of the kernel (abi/sysv_ids.h).

#include "abi/sysv_ids.h"
#include "runtime/handlers/dispatch.h"

namespace cairn::runtime {

std::int32_t to_real_sysv(abi::SysvKind kind, std::uint64_t id);

// For shmctl, semctl and msgctl, of a call that is about to be made: its first argument is an id, or
// by `command` the index of a set whose id is the result.
void translate_sysv_control(ThreadBlock* t, abi::SysvKind kind, std::uint64_t command);

}  // namespace cairn::runtime
