#pragma once
// What the kernel does at a thread's end for the robust futexes that it still holds
// (robust_list.cc).

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// The thread `t`, of the caller's process, ends now.
void leave_robust_list(ThreadBlock* t);
// The caller's whole process ends now.
void leave_robust_lists_of_process(ThreadBlock* t);

// Around an exec: the caller's list is left, and taken back if there was no exec after all.
struct RobustUndo {
  static constexpr std::uint32_t kMost = 64;
  std::uint32_t count;
  struct Word {
    std::uint64_t address;
    std::uint32_t before, after;
  } words[kMost];
};
void leave_robust_list_for_exec(ThreadBlock* t, RobustUndo* undo);
void take_back_robust_list(const RobustUndo& undo);

}  // namespace cairn::runtime
