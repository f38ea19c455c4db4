#pragma once
// Users, groups and capabilities of a process. Only root can give them to a process that it starts
// anew; for everybody else the restart is refused unless the effective ids are the restarting
// user's own.

#include "resources/context.h"

namespace cairn::resources {

// `status`: the text of /proc/PID/status.
void capture_credentials(const std::string& status, image::Credentials& record);

// The process is not dumpable afterwards if its ids have changed.
Result<> restore_credentials(RebuildContext& context);

}  // namespace cairn::resources
