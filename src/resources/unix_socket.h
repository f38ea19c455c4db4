#pragma once
// Unix sockets inside the process: pairs and connections with what is in flight, listeners.

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kUnixSocketKind;

// When everything is connected and filled: shutdowns, and peers that had been closed.
Result<> shut_unix_sockets(RebuildJob& job);

// Connected to somebody outside of the job.
Result<bool> socket_leads_outside(CaptureContext& context, const OpenFile& file);

}  // namespace cairn::resources
