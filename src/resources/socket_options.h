#pragma once
// Options that sockets have, and how they are saved and set again.

#include <sys/socket.h>

#include <string>

#include "base/error.h"
#include "image/schema/object.pb.h"
#include "resources/context.h"

namespace cairn::resources {

using SocketOptions = google::protobuf::RepeatedPtrField<image::SocketOption>;

Result<> capture_options(int fd, int domain, int type, SocketOptions& options);
// What has to be set before the socket is bound; and all else, once it is filled and connected.
Result<> restore_early_options(int fd, const SocketOptions& options);
Result<> restore_options(int fd, const SocketOptions& options);

Result<int> socket_option(int fd, int level, int name);

Result<std::string> local_address(int fd);  // struct sockaddr_*, empty if there is none
std::string peer_address(int fd);           // empty: not connected
// Only a family, an unnamed unix socket, is no address.
std::string raw_address(const sockaddr_storage& address, socklen_t bytes);

// A system call in the process that returns a new descriptor: ours is a copy, its own is closed.
Result<Fd> fetch_and_close(RebuildContext& context, int number);

}  // namespace cairn::resources
