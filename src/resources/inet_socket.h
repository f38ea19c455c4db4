#pragma once
// TCP and UDP, v4 and v6, with both ends in the process: listeners, connections with what is in
// flight, datagrams. A connection to somebody else is refused by name.

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kInetSocketKind;

Result<bool> inet_leads_outside(CaptureContext& context, const OpenFile& file);
Result<> shut_inet_sockets(RebuildJob& job);

}  // namespace cairn::resources
