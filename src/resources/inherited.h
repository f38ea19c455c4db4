#pragma once
// Standard streams that lead out of the job: terminals, and pipes and sockets whose other end belongs
// to somebody else. They are not made anew but taken from the restart command.

#include "resources/registry.h"

namespace cairn::resources {

// True: `object` is filled in. Refuses what leads out of the job and is no standard stream.
Result<bool> capture_inherited(CaptureContext& context, OpenFile& file, image::KernelObject& object);

extern const Kind kInheritedKind;
extern const Kind kTerminalKind;

// The terminal's modes, once nothing else can fail.
Result<> restore_terminal_modes(RebuildJob& job);

}  // namespace cairn::resources
