#pragma once
// What a debugger inside of the job needs of the door (tracer.cc).

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// Before an exec: the request to be traced that a child of vfork has made is made now.
void begin_to_be_traced(ThreadBlock* t);

}  // namespace cairn::runtime
