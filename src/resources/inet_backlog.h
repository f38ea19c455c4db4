#pragma once
// Connections at a listening TCP socket that nobody has accepted yet.
//
// Nobody can look into one before it is accepted, and then it cannot be given back. So where one holds
// data, or its client has shut it, all of them are accepted, looked into, reset, and made again out of
// their clients' sockets, in their order: a TCP socket may be disconnected and connected once more. The
// processes are frozen, so that none of them sees it.

#include "image/schema/object.pb.h"
#include "resources/context.h"

namespace cairn::resources {

Result<> capture_backlog(CaptureContext& context, OpenFile& listener, image::InetSocket& record);

// Whether the other end of this connection can be at a listening socket of the job.
bool waits_at_listener(const CaptureContext& context, const image::InetSocket& client);

// Once all sockets are made and the listener has its options, which what it accepts inherits.
Result<> fill_backlog(RebuildJob& job, const image::InetSocket& listener);

}  // namespace cairn::resources
