#pragma once
// What waits in a TCP socket to be received, copied and sent again.

#include "base/error.h"
#include "image/schema/object.pb.h"
#include "resources/context.h"

namespace cairn::resources {

// Copying is only possible from the receiver's queue: what the sender still holds must get there.
Result<> wait_until_sent(const OpenFile& sender, int receiver);

// With urgent data: what is before it, and what is behind it. `file` is whose it is, for messages.
Result<> copy_tcp_queue(const OpenFile& file, int fd, image::InetSocket& record);

// Sent by the other end. With the receiver: until it is there, SO_OOBINLINE being set then.
Result<> send_tcp_queue(int sender, const image::InetSocket& record);
Result<> send_tcp_queue(int sender, int receiver, const image::InetSocket& record);

int queued_bytes(const image::InetSocket& record);

}  // namespace cairn::resources
