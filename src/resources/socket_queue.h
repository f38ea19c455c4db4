#pragma once
// What waits in a socket to be received: copied at a capture, sent again at a rebuild.

#include <string>

#include "base/error.h"
#include "image/schema/object.pb.h"
#include "resources/context.h"

namespace cairn::resources {

using SocketQueue = google::protobuf::RepeatedPtrField<image::QueuedMessage>;

// Makes room for what is put into a queue again, for as long as this lives: the same bytes may take
// more room than they did, since they come in other pieces.
class RoomyBuffers {
 public:
  explicit RoomyBuffers(int fd);
  ~RoomyBuffers();
  RoomyBuffers(const RoomyBuffers&) = delete;
  RoomyBuffers& operator=(const RoomyBuffers&) = delete;

 private:
  bool wait_for_much();

  int fd_;
  int size_[2] = {-1, -1};
  int lock_ = 0;
  int low_ = 0;  // SO_RCVLOWAT, if it was changed
};

// Copies a queue with MSG_PEEK, never taking anything: one entry for each message, or for each
// piece of a stream that carries descriptors or credentials of its own. Descriptors in flight are
// adopted by the capture.
Result<> copy_queue(CaptureContext& context, int fd, int type, SocketQueue& queue);

// Sends one message, with the descriptors that were in flight with it. One with credentials is sent
// by the process, through its descriptor `inside`.
Result<> send_message(RebuildContext& context, int from, const image::QueuedMessage& message,
                      const std::string& to);
Result<> send_message_inside(RebuildContext& context, int inside,
                             const image::QueuedMessage& message, const std::string& to);

}  // namespace cairn::resources
