#pragma once
// The start of a job: the agent gets ready while the program is loaded (abi/boot.h, `ready`).
//
//   agent                              this process
//   run directory, segment   -- S -->  maps the segment; loads the program, patches it
//   store, lock, socket      -- R -->  enters the guest
//
// Where the agent cannot start, the process says why and ends: nothing of the guest has run.

namespace cairn::runtime {

// Both do nothing if `report` is -1: then the agent was there before.
void wait_for_segment(int report);
void wait_for_agent(int report);  // closes it

}  // namespace cairn::runtime
