#pragma once
// TCP and UDP, v4 and v6, with both ends in the job: listeners, connections with what is in flight,
// datagrams. A connection to somebody else comes back as one that was reset.

#include <linux/tcp.h>

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kInetSocketKind;

bool is_tcp(const OpenFile& file);
Result<tcp_info> tcp_info_of(int fd);  // that of <linux/tcp.h>
Result<bool> inet_leads_outside(CaptureContext& context, const OpenFile& file);
Result<> shut_inet_sockets(RebuildJob& job);

}  // namespace cairn::resources
