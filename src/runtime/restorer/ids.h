#pragma once
// The guest's pids and tids. Until a restart they are the kernel's own; afterwards the ids that came
// back keep their old numbers, and a new one whose number is taken gets another.

#include <cstdint>

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// True once any virtual id differs from the real one.
bool ids_shifted();

// What the guest is to call a thread or process that the kernel has just made.
std::int32_t adopt_new_id(std::int32_t real);
// The parent's side of the same; both agree whoever comes first.
std::int32_t virtual_of_new_child(std::int32_t real);
void release_ids(const ThreadBlock* t);

std::int32_t to_real(std::int32_t virtual_id);
std::int32_t to_virtual(std::int32_t real_id);

// In a forked child: another thread of the parent may have held the lock.
void ids_lock_after_fork();

// The same for the id inside a CPU clock's number.
std::int64_t real_clock(std::int64_t clock);

// Restart: this pair holds from now on.
void bind_id(std::int32_t virtual_id, std::int32_t real_id);

}  // namespace cairn::runtime
