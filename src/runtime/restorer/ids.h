#pragma once
// The guest's pids and tids. Until a restart they are the kernel's own; afterwards the ids that
// came back keep their old numbers, and a new one whose number is taken gets another. The table
// lies in the job segment (abi/id_table.h): every process of the job sees the same, also after
// exec.

#include <cstdint>

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// True once any virtual id differs from the real one.
bool ids_shifted();

// What the guest is to call a thread or process that the kernel has just made. The child and its
// parent both ask, and agree whoever comes first.
std::int32_t adopt_new_id(std::int32_t real);

// What no id of the guest leads to is the id of nobody: a number that the kernel does not know
// either.
std::int32_t to_real(std::int32_t virtual_id);
std::int32_t to_virtual(std::int32_t real_id);
std::int32_t to_real_group(std::int32_t virtual_id);
std::int32_t to_virtual_group(std::int32_t real_id);

// True if this real id is not the job's, but the guest knows one of its own by that number.
bool hidden_by_ours(std::int32_t real_id);

// The same for the id inside a CPU clock's number.
std::int64_t real_clock(std::int64_t clock);
std::int32_t virtual_clock(std::int32_t clock);

// Of a siginfo: whether si_pid is one, and not a timer's number or an address.
bool siginfo_holds_pid(std::int32_t signal, std::int32_t code);

// Restart: this pair holds from now on.
void bind_id(std::int32_t virtual_id, std::int32_t real_id);
void bind_group(std::int32_t virtual_id, std::int32_t real_id);
// A process outside of the job that stands where another one stood, as the parent does.
void bind_outside(std::int32_t virtual_id, std::int32_t real_id);

}  // namespace cairn::runtime
