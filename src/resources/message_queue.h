#pragma once
// POSIX message queues. There is no way to look at a message: all are taken out and put back in the
// same order, while nobody of the job runs. Who is to be told of a message is told by the
// queue itself, how by the door (abi/notices.h).
//
// A queue that is nobody's open file at the checkpoint is left to the system, as a file is.

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kMessageQueueKind;

}  // namespace cairn::resources
