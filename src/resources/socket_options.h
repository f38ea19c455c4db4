#pragma once
// Options that sockets of every family have, and how they are saved and set again.

#include <sys/socket.h>

#include <string>

#include "base/error.h"
#include "image/schema/object.pb.h"
#include "resources/context.h"

namespace cairn::resources {

using SocketOptions = google::protobuf::RepeatedPtrField<image::SocketOption>;

Result<> capture_options(int fd, int domain, int type, SocketOptions& options);
Result<> restore_options(int fd, const SocketOptions& options);

Result<int> socket_option(int fd, int level, int name);

Result<std::string> local_address(int fd);  // struct sockaddr_*, empty if there is none
std::string peer_address(int fd);           // empty: not connected

// Makes room for what is put into a queue again, for as long as this lives: the same bytes may take
// more room than they did, since they come in other pieces.
class RoomyBuffers {
 public:
  explicit RoomyBuffers(int fd);
  ~RoomyBuffers();
  RoomyBuffers(const RoomyBuffers&) = delete;
  RoomyBuffers& operator=(const RoomyBuffers&) = delete;

 private:
  int fd_;
  int size_[2] = {-1, -1};
  int lock_ = 0;
};

// Copies a socket's queue with MSG_PEEK, never taking anything: one entry for each message, or for
// each piece of a stream. Descriptors in flight are adopted by the capture.
Result<> copy_queue(CaptureContext& context, int fd, bool stream,
                    google::protobuf::RepeatedPtrField<image::QueuedMessage>& queue);

// Sends one message, with the descriptors that were in flight with it.
Result<> send_message(RebuildContext& context, int from, const image::QueuedMessage& message,
                      const std::string& to);

// A system call in the process that returns a new descriptor: ours is a copy, its own is closed.
Result<Fd> fetch_and_close(RebuildContext& context, int number);

}  // namespace cairn::resources
